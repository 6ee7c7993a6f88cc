package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/experiment"
)

// TestReplay_SaysWhatDiffers: who finds that a record comes to something else has to
// find out by what.
func TestReplay_SaysWhatDiffers(t *testing.T) {
	j := judged()
	e := experiment.Evidence{Old: "1.3.0", New: "1.4.0", Share: 20, For: time.Minute, Metrics: []experiment.Metric{{Name: "errors", Better: experiment.Less, Share: true}}}
	for _, iv := range j.Input.Intervals {
		e.Intervals = append(e.Intervals, experiment.Interval{Start: iv.Start, End: iv.End, Readings: map[string]experiment.Reading{
			"errors": {Old: experiment.Sample{Over: 180}, New: experiment.Sample{Over: 20, Sum: 10}},
		}})
	}
	rep, err := experiment.Judge(e)
	fatal(t, err)
	for _, tt := range []struct {
		command      string
		record       any
		change, into string
		says         []string
		differs      []string // in JSON
	}{
		{"analysis", j, `"sentence":"Error rate 50 %`, `"sentence":"Error rate 5 %`, []string{"verdicts[0].sentence", `"Error rate 5 % of 40`, `"Error rate 50 % of 40`}, []string{"verdicts[0].sentence"}},
		{"analysis", j, `"outcome":"worse"`, `"outcome":"not-worse"`, []string{"outcome", `"not-worse"`}, []string{"outcome"}},
		{"experiment", experiment.Record{Report: rep, Evidence: e}, `"old":"1.3.0"`, `"old":"1.2.0"`, []string{"report.old", `"1.2.0"`, `"1.3.0"`}, []string{"report.old"}},
	} {
		t.Run(tt.command+" "+tt.into, func(t *testing.T) {
			b, err := json.Marshal(tt.record)
			fatal(t, err)
			if !strings.Contains(string(b), tt.change) {
				t.Fatalf("the record has no %s: %s", tt.change, b)
			}
			s := newShell(t, nil)
			file := filepath.Join(t.TempDir(), "record.json")
			fatal(t, os.WriteFile(file, b, 0o600))
			if got := s.run(tt.command, "replay", file); got.code != 0 || strings.Contains(got.stdout, "RECORDED") {
				t.Errorf("as it was recorded: exit %d: %s%s", got.code, got.stdout, got.stderr)
			}
			fatal(t, os.WriteFile(file, []byte(strings.Replace(string(b), tt.change, tt.into, 1)), 0o600))
			got := s.run(tt.command, "replay", file)
			for _, want := range append(tt.says, "the record says something else") {
				if got.code != cli.ExitError || !strings.Contains(got.stdout, want) {
					t.Errorf("exit %d, and it does not say %s: %s%s", got.code, want, got.stdout, got.stderr)
				}
			}
			out := decode[struct {
				Same    bool
				Differs []struct{ At string }
			}](t, s.run(tt.command, "replay", file, "-o", "json").stdout)
			var at []string
			for _, d := range out.Differs {
				at = append(at, d.At)
			}
			if out.Same || strings.Join(at, " ") != strings.Join(tt.differs, " ") {
				t.Errorf("it differs at %q, want %q", at, tt.differs)
			}
		})
	}
}
