package io.debezium.transforms;

import java.util.Comparator;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

import org.apache.kafka.common.config.AbstractConfig;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigDef.CompositeValidator;
import org.apache.kafka.common.config.ConfigDef.Importance;
import org.apache.kafka.common.config.ConfigDef.NonEmptyString;
import org.apache.kafka.common.config.ConfigDef.NonNullValidator;
import org.apache.kafka.common.config.ConfigDef.Range;
import org.apache.kafka.common.config.ConfigDef.Type;
import org.apache.kafka.common.config.ConfigDef.ValidString;
import org.apache.kafka.common.config.ConfigDef.Validator;
import org.apache.kafka.common.config.ConfigException;

/** The options of {@link MnistToCsv}: their names, defaults, limits and meaning. */
public final class MnistToCsvConfig extends AbstractConfig {

    public static final String LABEL_COLUMN = "label_column";
    public static final String PIXELS_COLUMN = "pixels_column";
    public static final String ID_COLUMN = "id_column";
    public static final String ID_HEADER = "id_header";
    public static final String PIXELS_LENGTH = "pixels.length";
    public static final String DELETES_HANDLING = "deletes.handling";
    public static final String UNLABELLED_HANDLING = "unlabelled.handling";

    public static final String DROP = "drop";
    public static final String PASS = "pass";
    public static final String FAIL = "fail";

    /** Keys of Connect's own that it leaves among the options it hands to a transform. */
    private static final Set<String> CONNECTS_OWN = Set.of("type", "predicate", "negate", "plugin.version");

    private static final Validator A_NAME = CompositeValidator.of(new NonNullValidator(), new NonEmptyString());

    public static final ConfigDef DEFINITION = new ConfigDef()
            .define(LABEL_COLUMN, Type.STRING, "label", A_NAME, Importance.MEDIUM,
                    "Column that holds the label, a whole number from 0 to 9. It becomes the record's key.")
            .define(PIXELS_COLUMN, Type.STRING, "pixels", A_NAME, Importance.MEDIUM,
                    "Column that holds the pixels, one byte each. They become the record's value, as numbers from 0 to "
                            + "255 with commas between them.")
            .define(ID_COLUMN, Type.STRING, "id", A_NAME, Importance.MEDIUM,
                    "Column of the primary key, looked up in the record's key and then in its value.")
            .define(ID_HEADER, Type.STRING, "__id", new NonNullValidator(), Importance.LOW,
                    "Header that carries the primary key, as the record's key becomes the label. Empty: no header.")
            .define(PIXELS_LENGTH, Type.INT, 784, Range.atLeast(1), Importance.LOW,
                    "How many pixels an image has. A row with more or fewer is refused.")
            .define(DELETES_HANDLING, Type.STRING, DROP, ValidString.in(DROP, PASS), Importance.MEDIUM,
                    "What becomes of a deleted row: 'drop' leaves it out, since a reader of CSV takes no empty value; "
                            + "'pass' records it with neither key nor value.")
            .define(UNLABELLED_HANDLING, Type.STRING, DROP, ValidString.in(DROP, PASS, FAIL), Importance.MEDIUM,
                    "What becomes of a row without a label: 'drop' leaves it out, since it is no training example; "
                            + "'pass' records it without a key; 'fail' refuses it.");

    /**
     * @param options the transform's options as Connect hands them over
     * @throws ConfigException an option is unknown, or its value is outside what it allows
     */
    public MnistToCsvConfig(Map<String, ?> options) {
        super(DEFINITION, withoutUnknown(options), false);
    }

    /** Connect ignores options that no one defined, so a misspelt one would have no effect and nobody would know. */
    private static Map<String, ?> withoutUnknown(Map<String, ?> options) {
        Set<String> names = new TreeSet<>(DEFINITION.names());
        for (String option : new TreeSet<>(options.keySet())) {
            if (!names.contains(option) && !CONNECTS_OWN.contains(option)) {
                Comparator<String> nearness = Comparator.comparingInt(name -> distance(option, name));
                String nearest = names.stream().min(nearness).orElseThrow();
                throw new ConfigException("Unknown option " + option + " of MnistToCsv. Did you mean " + nearest + "?");
            }
        }
        return options;
    }

    /** Levenshtein distance: how many letters must be added, removed or changed to turn one word into the other. */
    private static int distance(String from, String to) {
        int[] above = new int[to.length() + 1];
        for (int j = 0; j < above.length; j++) {
            above[j] = j;
        }
        for (int i = 1; i <= from.length(); i++) {
            int[] row = new int[above.length];
            row[0] = i;
            for (int j = 1; j < row.length; j++) {
                int changed = above[j - 1] + (from.charAt(i - 1) == to.charAt(j - 1) ? 0 : 1);
                row[j] = Math.min(changed, 1 + Math.min(above[j], row[j - 1]));
            }
            above = row;
        }
        return above[to.length()];
    }
}
