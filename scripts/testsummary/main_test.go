package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	const ran = `{"Action":"output","Package":"p","Test":"TestA","Output":"noise\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
`
	for _, c := range []struct {
		name, in      string
		good, lenient bool // in CI, elsewhere
		shows, hides  string
	}{
		{"passes when tests passed", ran + `{"Action":"pass","Package":"p","Elapsed":1.25}`, true, true, "1 tests  p", "noise"},
		{"fails when nothing ran", `{"Action":"skip","Package":"p"}`, false, false, "", "p"},
		{"fails when a test failed, and shows its output",
			ran + `{"Action":"output","Package":"p","Test":"TestB","Output":"boom\n"}
{"Action":"fail","Package":"p","Test":"TestB"}`, false, false, "boom", "noise"},
		{"fails in CI when a test was skipped, and shows why",
			ran + `{"Action":"output","Package":"p","Test":"TestB","Output":"no database\n"}
{"Action":"skip","Package":"p","Test":"TestB"}`, false, true, "no database", "noise"},
		{"fails when a package does not build", ran + `{"Action":"build-output","ImportPath":"q","Output":"undefined: x\n"}
{"Action":"build-fail","ImportPath":"q"}`, false, false, "undefined: x", "noise"},
		{"shows what a test said that never ended",
			ran + `{"Action":"output","Package":"p","Test":"TestB","Output":"panic: late\n"}
{"Action":"fail","Package":"p"}`, false, false, "panic: late", "noise"},
		{"passes on what is not JSON", ran + "go: downloading", true, true, "go: downloading", "noise"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			s := &summary{out: &out, output: map[string]map[string][]string{}, tests: map[string]int{}}
			if err := s.read(strings.NewReader(c.in)); err != nil {
				t.Fatal(err)
			}
			if s.good(true) != c.good || s.good(false) != c.lenient {
				t.Errorf("in CI good is %v, want %v; elsewhere %v, want %v", s.good(true), c.good, s.good(false), c.lenient)
			}
			if !strings.Contains(out.String(), c.shows) || strings.Contains(out.String(), c.hides) {
				t.Errorf("it says:\n%s", out.String())
			}
		})
	}
}
