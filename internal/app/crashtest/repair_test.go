package crashtest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
	"github.com/towpath/towpath/internal/towpathtest/pgtest"
)

// TestRepair edits a file of a running release by hand, as people do at night,
// while clients ask all the time. Where the policy is to repair, it is found and
// what runs is replaced by the same again; an agent that is killed in the middle
// goes on; who edits it again and again is let alone. Where the policy is to
// report, it is reported until a person repairs it. No request is ever lost.
func TestRepair(t *testing.T) {
	for name, database := range map[string]func(t *testing.T) string{
		"on SQLite": func(*testing.T) string { return "" }, "on PostgreSQL": func(t *testing.T) string { return pgtest.New(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, database(t))
			w.drift = towpath.DriftRepair
			w.publish("1.1.0") // so that dev repairs, and prod reports
			w.runs("dev", "1.1.0")
			lost := w.traffic()

			w.editAndRepair("dev", "1.1.0", 1)
			w.editWhileTheAgentDies("dev", "1.1.0", 2)
			w.editAndRepair("dev", "1.1.0", 3)
			w.flaps("dev", "1.1.0", 3)
			w.reports("prod", "1.0.0")

			if n := lost(); n > 0 {
				t.Errorf("%d requests were lost\n%s", n, w.log)
			}
			w.recorded(map[string]int{"drift.found": 5, "drift.gone": 5, "drift.flapping": 1, "repair.requested": 5})
		})
	}
}

// edit adds a line to the program that runs of a version: to every copy that is
// as it was.
func (w *world) edit(version string) {
	w.t.Helper()
	edited := 0
	files, err := filepath.Glob(filepath.Join(w.dir, "agent", "files", "*", "root", "serve"))
	w.must(err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		w.must(err)
		if !bytes.Contains(b, []byte("# "+version+"\n")) || bytes.Contains(b, []byte("by hand")) {
			continue
		}
		w.must(os.Chmod(f, 0o755))
		w.must(os.WriteFile(f, append(b, "# by hand\n"...), 0o755))
		edited++
	}
	if edited == 0 {
		w.t.Fatalf("nothing runs of %s in %q", version, files)
	}
}

// drifted is the drift of an environment's only component.
func (w *world) drifted(e towpath.EnvironmentName) inventory.ComponentDrift {
	w.t.Helper()
	r, err := w.ana.Drift(w.t.Context(), shop, e)
	w.must(err)
	return r.Components[0]
}

// succeeded counts the repairs of an environment that succeeded.
func (w *world) succeeded(e towpath.EnvironmentName) (n int) {
	w.t.Helper()
	l, err := w.ana.Deployments(w.t.Context(), shop, e, client.Page{})
	w.must(err)
	for _, d := range l.Items {
		if d.Kind == towpath.DeploymentRepair && d.Phase == towpath.DeploymentSucceeded {
			n++
		}
	}
	return n
}

// repaired waits until the nth repair has helped.
func (w *world) repaired(e towpath.EnvironmentName, version string, n int) {
	w.t.Helper()
	w.until("repaired", func() bool {
		return w.succeeded(e) == n && w.drifted(e).State == towpath.DriftNone && w.status(e).Phase == inventory.PhaseHealthy
	})
	w.until("seen to be as it was deployed", func() bool { c := w.counted(); return c["drift.gone"] == c["drift.found"] })
	if got := kindtest.CountStarts(w.t, w.starts, version+" in "+string(e)); got != n+1 {
		w.t.Errorf("%s was started %d times, want %d\n%s", version, got, n+1, w.log)
	}
}

func (w *world) editAndRepair(e towpath.EnvironmentName, version string, n int) {
	w.t.Helper()
	before := w.status(e)
	w.edit(version)
	w.repaired(e, version, n)
	after := w.status(e)
	if after.Since != before.Since || after.Hold != nil || after.Version != before.Version || after.Components[0].Address != before.Components[0].Address {
		w.t.Errorf("the repair changed what %s runs: %+v, before %+v", e, after, before)
	}
}

func (w *world) editWhileTheAgentDies(e towpath.EnvironmentName, version string, n int) {
	w.t.Helper()
	w.armAgent("run.after-repair-switch:1")
	w.edit(version)
	w.repaired(e, version, n)
	if w.deaths.Load() != 1 {
		w.t.Errorf("the agent died %d times", w.deaths.Load())
	}
}

// flaps edits once more what was repaired as often as the limits let it.
func (w *world) flaps(e towpath.EnvironmentName, version string, n int) {
	w.t.Helper()
	w.edit(version)
	w.until("left alone", func() bool { return w.drifted(e).State == towpath.DriftFlapping })
	d := w.drifted(e)
	if len(d.Differences) != 1 || d.Differences[0].Kind != towpath.DiffersFile || d.Differences[0].Subject != "serve" || !strings.Contains(d.Why, "repaired 3 times") {
		w.t.Errorf("it is left alone with %+v", d)
	}
	if st := w.status(e); st.Drift != towpath.DriftFlapping || st.Health != towpath.HealthHealthy || w.succeeded(e) != n {
		w.t.Errorf("left alone: %+v", st)
	}
	_, err := w.ana.Repair(w.t.Context(), shop, e, api.Repair{Reason: "the one who edits has been talked to"})
	w.must(err)
	w.repaired(e, version, n+1)
}

// reports holds that drift is only reported until a person repairs it.
func (w *world) reports(e towpath.EnvironmentName, version string) {
	w.t.Helper()
	if _, err := w.ana.Repair(w.t.Context(), shop, e, api.Repair{}); towpath.KindOf(err) != towpath.KindConflict || !strings.Contains(err.Error(), "nothing to repair") {
		w.t.Errorf("repairing what is as it was deployed: %v", err)
	}
	w.edit(version)
	w.until("reported", func() bool { d := w.drifted(e); return d.State == towpath.DriftFound && d.Why != "" })
	if d := w.drifted(e); d.Policy != towpath.DriftReport || w.succeeded(e) != 0 {
		w.t.Errorf("reported: %+v", d)
	}
	w.must(w.ana.Hold(w.t.Context(), shop, e, "a hold does not stop a repair"))
	_, err := w.ana.Repair(w.t.Context(), shop, e, api.Repair{Component: "api", Reason: "looked at it"})
	w.must(err)
	before := kindtest.CountStarts(w.t, w.starts, version+" in "+string(e))
	w.repaired(e, version, before)
}

// recorded checks how often actions stand in the ledger.
func (w *world) recorded(want map[string]int) {
	w.t.Helper()
	counts := w.counted()
	for action, n := range want {
		if counts[action] != n {
			w.t.Errorf("%s stands %d times in the ledger, want %d: %s", action, counts[action], n, sorted(counts))
		}
	}
}
