package io.debezium.transforms;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;

import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The options: documented, checked, and never misspelt without a word. */
class OptionsTest {

    @Test
    void theseOptionsWithTheseDefaults() {
        Map<String, Object> defaults = new HashMap<>();
        defaults.put("label_column", "label");
        defaults.put("pixels_column", "pixels");
        defaults.put("id_column", "id");
        defaults.put("id_header", "__id");
        defaults.put("pixels.length", 784);
        defaults.put("deletes.handling", "drop");
        defaults.put("unlabelled.handling", "drop");
        assertEquals(defaults, new MnistToCsv<>().config().defaultValues());
    }

    @Test
    void everyOptionIsDocumentedAndChecked() {
        ConfigDef definition = new MnistToCsv<>().config();
        assertSame(MnistToCsvConfig.DEFINITION, definition);
        for (ConfigDef.ConfigKey option : definition.configKeys().values()) {
            assertTrue(option.documentation.length() > 20, option.name);
            assertTrue(option.documentation.endsWith("."), option.name);
            assertNotNull(option.validator, option.name);
        }
    }

    @Test
    void versionIsThreeNumbers() {
        assertTrue(new MnistToCsv<>().version().matches("\\d+\\.\\d+\\.\\d+"));
    }

    @ParameterizedTest
    @CsvSource({
            "label_column, ''",
            "pixels_column, '  '",
            "id_column, ''",
            "pixels.length, 0",
            "pixels.length, -784",
            "pixels.length, many",
            "deletes.handling, fail",
            "deletes.handling, DROP",
            "deletes.handling, ''",
            "unlabelled.handling, ignore"})
    void badValueIsRefusedByName(String option, String value) {
        assertRefused(Map.of(option, value), option);
    }

    @ParameterizedTest
    @ValueSource(strings = {"label_column", "pixels_column", "id_column", "id_header", "pixels.length",
            "deletes.handling", "unlabelled.handling"})
    void nullIsRefusedByName(String option) {
        Map<String, String> options = new HashMap<>();
        options.put(option, null);
        assertRefused(options, option);
    }

    @ParameterizedTest
    @CsvSource({
            "label.column, label_column",
            "labelcolumn, label_column",
            "pixel_column, pixels_column",
            "ID_COLUMN, id_column",
            "idcolumn, id_column",
            "id.header, id_header",
            "pixels_length, pixels.length",
            "delete.handling, deletes.handling",
            "unlabeled.handling, unlabelled.handling"})
    void misspeltOptionIsRefusedWithTheNearest(String misspelt, String meant) {
        assertRefused(Map.of(misspelt, "x"), misspelt, "Did you mean " + meant + "?");
    }

    @Test
    void misspeltOptionIsRefusedAmongGoodOnes() {
        assertRefused(Map.of("label_column", "label", "type", "x", "delets.handling", "pass"), "delets.handling");
    }

    @Test
    void keysOfConnectAreNoOptions() {
        Map<String, String> options = Map.of("type", MnistToCsv.class.getName(), "predicate", "row", "negate", "true",
                "plugin.version", "1.0.0");
        assertDoesNotThrow(() -> Transforms.transform(options));
        for (String name : Set.of("type", "predicate", "negate", "plugin.version")) {
            assertFalse(new MnistToCsv<>().config().names().contains(name), name);
        }
    }

    @Test
    void blanksAroundAValueDoNotCount() {
        Map<String, String> options = Map.of("label_column", " label ", "deletes.handling", "pass ");
        assertEquals("7", Transforms.apply(options, Rows.record(Rows.row(7, Rows.pixels()))).key());
    }

    private static void assertRefused(Map<String, String> options, String... says) {
        ConfigException refusal = assertThrows(ConfigException.class, () -> Transforms.transform(options));
        for (String part : says) {
            assertTrue(refusal.getMessage().contains(part), () -> part + " in: " + refusal.getMessage());
        }
    }
}
