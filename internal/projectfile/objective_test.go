package projectfile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/projectfile"
	"github.com/towpath/towpath/internal/towpath"
)

// TestParse_TakesTheBoundsThatAreCounted: of another bound nobody knows how many
// answers took longer, and a good release would be judged worse by it.
func TestParse_TakesTheBoundsThatAreCounted(t *testing.T) {
	counted := towpath.LatencyBounds()
	parse := func(bound string) error {
		_, err := projectfile.Parse([]byte(`version: 1
project: shop
components:
  api: {kind: process, path: api, process: {command: [a]}}
environments:
  dev: {}
objectives: [{name: speed, kind: latency, target: 0.9, bound: `+bound+"}]\n"), builders())
		return err
	}
	for _, b := range counted {
		if err := parse(b.String()); err != nil {
			t.Errorf("%s is refused: %v", b, err)
		}
	}
	for ms := 1; ms <= 1000; ms++ {
		b := time.Duration(ms) * time.Millisecond
		if err := parse(b.String()); (err == nil) != slices.Contains(counted[:], b) {
			t.Errorf("%s: %v, counted: %t", b, err, slices.Contains(counted[:], b))
		}
	}
	for bound, hint := range map[string]string{"350ms": "write 300ms or 400ms", "9.999999999s": "write 8s or 10s", "1000001ns": "write 1ms or 1.5ms"} {
		if err := parse(bound); err == nil || !strings.Contains(err.Error(), "is not counted ("+hint) {
			t.Errorf("%s: %v, want the hint %q", bound, err, hint)
		}
	}
}

func TestParse_TakesAsManyObjectivesAsAreJudged(t *testing.T) {
	parse := func(n int) error {
		text := "version: 1\nproject: shop\ncomponents:\n  api: {kind: process, path: api, process: {command: [a]}}\n" +
			"environments:\n  dev: {}\nobjectives:\n"
		for i := range n {
			text += fmt.Sprintf("  - {name: o%d, kind: errors, target: 0.9}\n", i)
		}
		_, err := projectfile.Parse([]byte(text), builders())
		return err
	}
	if err := parse(towpath.MaxObjectives); err != nil {
		t.Error(err)
	}
	if err := parse(towpath.MaxObjectives + 1); err == nil || !strings.Contains(err.Error(), "51 objectives are for api, and at most 50") {
		t.Errorf("got %v", err)
	}
}
