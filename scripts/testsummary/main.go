// Command testsummary reads the JSON of `go test -json`, shows what failed with
// its output, and counts. It fails when a test or a package failed, when no test
// ran, and, with CI set, when one was skipped.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// event is what `go doc test2json` says.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64 // seconds
}

// summary is what was heard so far.
type summary struct {
	out                     io.Writer
	passed, failed, skipped int
	broken                  bool                           // something else than a test failed
	output                  map[string]map[string][]string // of what has not ended, by package and test
	tests                   map[string]int                 // ended, by package
}

func main() {
	s := &summary{out: os.Stdout, output: map[string]map[string][]string{}, tests: map[string]int{}}
	if err := s.read(os.Stdin); err != nil {
		fmt.Println("the output of go test can't be read:", err)
		s.broken = true
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	if !s.good(os.Getenv("CI") != "") {
		os.Exit(1)
	}
}

// good reports whether all is well; strict counts a skipped test as a failure.
func (s *summary) good(strict bool) bool {
	return s.failed == 0 && !s.broken && s.passed > 0 && (s.skipped == 0 || !strict)
}

func (s *summary) read(r io.Reader) error {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 1<<20), 64<<20)
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			fmt.Fprintln(s.out, in.Text())
			continue
		}
		s.add(e)
	}
	return in.Err()
}

func (s *summary) add(e event) {
	switch e.Action {
	case "output":
		if s.output[e.Package] == nil {
			s.output[e.Package] = map[string][]string{}
		}
		s.output[e.Package][e.Test] = append(s.output[e.Package][e.Test], e.Output)
	case "build-output":
		fmt.Fprint(s.out, e.Output)
	case "build-fail":
		s.broken = true
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.end(e)
			return
		}
		s.tests[e.Package]++
		switch e.Action {
		case "pass":
			s.passed++
		case "fail":
			s.failed++
			s.show("failed", e.Package, e.Test)
		case "skip":
			s.skipped++
			s.show("skipped", e.Package, e.Test)
		}
		delete(s.output[e.Package], e.Test)
	}
}

// end is the end of a package. When it failed, what its tests were saying that
// never ended (a panic, a timeout) is shown as well.
func (s *summary) end(e event) {
	switch {
	case e.Action == "fail":
		s.broken = true
		for _, test := range slices.Sorted(maps.Keys(s.output[e.Package])) {
			s.show("failed", e.Package, test)
		}
	case s.tests[e.Package] > 0:
		fmt.Fprintf(s.out, "%6.1f s %4d tests  %s\n", e.Elapsed, s.tests[e.Package], e.Package)
	}
	delete(s.output, e.Package)
}

func (s *summary) show(what, pkg, test string) {
	fmt.Fprintf(s.out, "--- %s: %s %s\n%s", what, pkg, test, strings.Join(s.output[pkg][test], ""))
}
