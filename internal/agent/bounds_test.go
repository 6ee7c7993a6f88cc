package agent_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

func TestAgent_Bounds(t *testing.T) {
	const most = 100 << 10 // bytes of all that is told of an operation
	long := strings.Repeat("é", 1<<20)
	t.Run("tells a short end of what an operation says and logs", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.runner.sees(towpath.Observation{Target: b.op("", "").Target, Detail: long})
			b.runner.do = func(_ context.Context, w kind.Work) error {
				w.Say(long)
				lines := make([]string, 1000)
				for i := range lines {
					lines[i] = long[:5001]
				}
				return &kind.Failure{Message: long, Log: append(lines, "the last line")}
			}
			b.srv.add(t, b.op("op_1", towpath.VerbPrepare))
			r := b.srv.result(t, "op_1")
			said := []string{r.Message}
			b.srv.wait(t, "it is reported and observed", func() bool { return len(b.srv.reports["op_1"]) > 0 && len(b.srv.observed) > 0 })
			b.srv.locked(func() {
				said = append(append(said, b.srv.observed[0].Detail), r.Log...)
				said = slices.AppendSeq(said, maps.Values(b.srv.reports["op_1"]))
			})
			if all := strings.Join(said, ""); len(all) > most || !utf8.ValidString(all) || strings.ContainsRune(all, utf8.RuneError) || !strings.HasPrefix(r.Message, "ééé") {
				t.Errorf("told %d bytes", len(all))
			}
			if len(r.Log) < 10 || r.Log[len(r.Log)-1] != "the last line" {
				t.Errorf("told %d lines", len(r.Log))
			}
		})
	})
	t.Run("tells no part of a plan that is too large", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.runner.plan.Changes = []towpath.Change{{Path: "env.A", After: strings.Repeat("a", 9<<20)}}
			b.srv.add(t, b.op("op_1", towpath.VerbPlan))
			if r := b.srv.result(t, "op_1"); r.Status != towpath.ResultFailed || r.Plan != nil || !strings.Contains(r.Message, "larger than") {
				t.Errorf("got %s: %.200s", r.Status, r.Message)
			}
		})
	})
}
