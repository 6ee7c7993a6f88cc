// Package stories holds what users do, as scripts that the tests run with the
// real binary, real git and real processes: one story a file in
// testdata/script, with a paragraph of prose on top.
package stories
