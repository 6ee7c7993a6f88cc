package projectfile_test

import (
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/projectfile"
	"github.com/towpath/towpath/internal/towpath"
)

func TestParse_Progress(t *testing.T) {
	for _, tt := range []struct {
		rollout string
		want    time.Duration
		problem string
	}{
		{"{}", 30 * time.Minute, ""},
		{"{timeout: 20m}", 40 * time.Minute, ""}, // each step may use its time up twice
		{"{progress: 10m}", 10 * time.Minute, ""},
		{"{timeout: 10m, progress: 10m}", 10 * time.Minute, ""},
		{"{progress: 2m}", 0, "components.web.rollout.progress: 2m0s is shorter than the time for a single step, 5m0s (let progress be longer than timeout"},
		{"{progress: 2h, timeout: 3h}", 0, "2h0m0s is shorter than the time for a single step, 3h0m0s"},
	} {
		t.Run(tt.rollout, func(t *testing.T) {
			src := strings.Replace(string(example(t, "minimal.yaml")), "    kind: process\n", "    kind: process\n    rollout: "+tt.rollout+"\n", 1)
			got, err := projectfile.Parse([]byte(src), builders())
			if tt.problem != "" {
				if p := problemsOf(t, err); len(p) != 1 || !strings.Contains(p.Error(), tt.problem) {
					t.Errorf("the report is %q", p)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c, _ := got.Component("web"); c.Rollout.ProgressTime() != tt.want {
				t.Errorf("%s, want %s", c.Rollout.ProgressTime(), tt.want)
			}
		})
	}
	old := towpath.RolloutSpec{Timeout: time.Minute} // of a release from before there was such a time
	if got := old.ProgressTime(); got != towpath.DefaultProgress {
		t.Errorf("an old release has %s", got)
	}
}

// One mistake is one problem: what follows from it only hides it.
func TestParse_OneMistakeIsOneProblem(t *testing.T) {
	for rollout, want := range map[string]string{
		"{strategy: canari, interval: 5s, steps: [{weight: 10}]}":      `rollout.strategy: "canari" is not known`,
		"{strategy: canary, steps: [{weight: 50}, {weight: 100}]}":     "rollout.steps[1].weight: ",
		"{strategy: canary, judged: false, steps: [{weight: 50}, {}]}": "rollout.steps[1].weight: ",
	} {
		t.Run(rollout, func(t *testing.T) {
			src := strings.Replace(string(example(t, "minimal.yaml")), "    kind: process\n", "    kind: process\n    rollout: "+rollout+"\n", 1)
			_, err := projectfile.Parse([]byte(src), builders())
			p := problemsOf(t, err)
			var about []string
			for _, x := range p {
				if !strings.Contains(x.String(), "judged") {
					about = append(about, x.String())
				}
			}
			if len(about) != 1 || !strings.Contains(about[0], want) {
				t.Errorf("the report is %q", p)
			}
		})
	}
}
