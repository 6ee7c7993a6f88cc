package build

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/kind"
	process "github.com/towpath/towpath/internal/kind/process/build"
	"github.com/towpath/towpath/internal/towpath"
)

func TestCheckBatches(t *testing.T) {
	for _, c := range []struct {
		surge, unavailable towpath.Share
		n                  int
		want               string // of the hint
	}{
		{"1", "", 100, ""},
		{"1", "", 101, "write surge: 2 in"},
		{"1", "", 150, "write surge: 2 in"},
		{"1", "1", 150, ""},
		{"1", "1", 201, "write surge: 3 in"},
		{"2", "", 200, ""},
		{"1%", "", 1000, ""},
		{"0", "", 500, "write surge: 5 in"},
		{"1", "", 0, ""},
	} {
		spec := towpath.ComponentSpec{Name: "web", Rollout: towpath.RolloutSpec{Strategy: towpath.StrategyRolling, Surge: c.surge, Unavailable: c.unavailable}}
		err := checkBatches(spec, "prod", c.n)
		if err == nil {
			if c.want != "" {
				t.Errorf("%d by %s and %s is taken", c.n, c.surge, c.unavailable)
			}
			continue
		}
		m, hint := towpath.PublicMessage(err)
		if c.want == "" || !strings.Contains(hint, c.want) || towpath.KindOf(err) != towpath.KindInvalid || !strings.Contains(m, "at most 100 batches") {
			t.Errorf("%d by %s and %s: %s; %s", c.n, c.surge, c.unavailable, m, hint)
		}
	}
}

// many is the process kind, of which many more instances run.
type many struct {
	*process.Builder
	n int
}

func (m many) Instances(json.RawMessage) (int, error) { return m.n, nil }

func TestRun_renderOne(t *testing.T) {
	for n, taken := range map[int]bool{100: true, 150: false} {
		r := &run{Builder: &Builder{kinds: map[towpath.ComponentKind]kind.Builder{towpath.KindProcess: many{process.New(), n}}}}
		spec := towpath.ComponentSpec{
			Name: "web", Kind: towpath.KindProcess, Spec: json.RawMessage(`{"command":["bin/web"]}`),
			Rollout: towpath.RolloutSpec{Strategy: towpath.StrategyRolling, Surge: "1"},
		}
		got, err := r.renderOne(spec, towpath.EnvironmentSpec{Name: "prod"}, towpath.DigestOf(nil))
		if (err == nil) != taken || err == nil && got.Instances != n {
			t.Errorf("%d one by one: %+v, %v", n, got, err)
		}
	}
}
