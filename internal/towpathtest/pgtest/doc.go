// Package pgtest owns the PostgreSQL of the tests: one real server per test
// process, made by the machine's own initdb and reached by a Unix socket only,
// with a fresh database for every test.
//
// It must not know any schema; a template that tests share is made by the
// caller's function.
//
// Start reading at pgtest.go.
package pgtest
