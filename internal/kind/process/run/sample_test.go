package run_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

// sampled are the samples of the only target, by their labels in PromQL's form
// but for those that every one has.
func (h *hand) sampled() map[string]float64 {
	h.t.Helper()
	sets, err := h.r.Samples(h.t.Context())
	h.must(err)
	out := map[string]float64{}
	for _, set := range sets {
		for _, s := range set.Series {
			key := s.Labels["__name__"]
			for _, l := range []string{"class", "le", "quantile", "instance", "result", "component", "exported_revision"} {
				if v, has := s.Labels[l]; has {
					key += " " + l + "=" + v
				}
			}
			out[key] = s.Value
			if s.Labels["revision"] != string(h.observed().Revision) {
				h.t.Errorf("%s is of revision %q", key, s.Labels["revision"])
			}
		}
	}
	return out
}

func TestRunner_Samples(t *testing.T) {
	h := newHand(t)
	path := "/metrics"
	h.change = func(s *process.Spec) { s.Metrics = &process.Metrics{Path: path} }
	h.up(kindtest.One)
	for range 3 {
		kindtest.Get(h.url())
	}
	got := h.sampled()
	for key, want := range map[string]float64{
		"up instance=0": 1,
		"orders_total instance=0 result=good component=mine": 7,
		"load instance=0":                                        0.5,
		"wait_seconds_bucket le=0.1 instance=0":                  2,
		"wait_seconds_bucket le=+Inf instance=0":                 3,
		"wait_seconds_count instance=0":                          3,
		"size quantile=0.5 instance=0":                           10,
		"size_sum instance=0":                                    40,
		"plain instance=0 exported_revision=theirs":              1,
		"towpath_router_requests_total class=2xx":                3,
		"towpath_router_requests_total class=5xx":                0,
		"towpath_router_request_duration_seconds_count":          3,
		"towpath_router_request_duration_seconds_bucket le=+Inf": 3,
		"towpath_router_requests_in_flight":                      0,
	} {
		if v, has := got[key]; !has || v != want {
			t.Errorf("%s is %v (%v), want %v", key, v, has, want)
		}
	}
	for key := range got {
		if strings.HasPrefix(key, "queue") {
			t.Errorf("%s is no number", key)
		}
		if strings.HasPrefix(key, "towpath_") && strings.Contains(key, "instance=") {
			t.Errorf("%s is what the instance says of itself", key)
		}
	}
	t.Run("says that an instance shows none", func(t *testing.T) {
		path = "/nothing"
		var log bytes.Buffer
		h.log = slog.NewTextHandler(&log, nil)
		h.r = h.processes(t)
		h.up(kindtest.Two)
		h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, kindtest.Two)))
		got := h.sampled()
		if up, has := got["up instance=0"]; !has || up != 0 {
			t.Errorf("up is %v, %v", up, has)
		}
		if _, has := got["load instance=0"]; has {
			t.Error("it has metrics all the same")
		}
		h.sampled()
		if said := log.String(); strings.Count(said, "instances do not give their metrics") != 1 || !strings.Contains(said, "instance 0 at /nothing: it answered 404") {
			t.Errorf("it logs %q, want why, once", said)
		}
	})
	h.must(h.r.Remove(t.Context(), h.work(towpath.VerbRemove, kindtest.Two)))
}

// TestRunner_SamplesBeforeTraffic: what an instance counts stays the same series from
// before it has traffic to after, also when another deployment had prepared it; else
// all that it had counted by then would look as if users had done it.
func TestRunner_SamplesBeforeTraffic(t *testing.T) {
	h := newHand(t)
	h.change = func(s *process.Spec) { s.Metrics = &process.Metrics{Path: "/metrics"} }
	h.up(one)
	by := func(deployment towpath.DeploymentID, verb towpath.Verb) kind.Work {
		w := h.work(verb, two)
		w.Operation.Deployment, w.Operation.Spec.Release = deployment, towpath.DigestOf([]byte(deployment))
		w.Operation.Spec.Previous = h.observed().Revision
		return w
	}
	shown := func() map[string]string {
		sets, err := h.r.Samples(t.Context())
		h.must(err)
		spec, _ := h.Spec(t, two)
		for _, s := range sets[0].Series {
			if s.Labels["__name__"] == "orders_total" && s.Labels["revision"] == string(spec.Revision) {
				return s.Labels
			}
		}
		t.Fatalf("two shows nothing: %+v", sets)
		return nil
	}
	for _, deployment := range []towpath.DeploymentID{"dep_1", "dep_2"} {
		h.must(h.r.Prepare(t.Context(), by(deployment, towpath.VerbPrepare)))
		before := shown()
		if before["deployment"] != string(deployment) || before["release"] != string(towpath.DigestOf([]byte(deployment))) || before["instance"] != "0" {
			t.Errorf("before it has traffic its series are %v", before)
		}
		if deployment == "dep_1" {
			continue // cancelled, and prepared again
		}
		shift := by(deployment, towpath.VerbShift)
		shift.Operation.Spec.Weight = 20
		h.must(h.r.Shift(t.Context(), shift))
		if d := cmp.Diff(before, shown()); d != "" {
			t.Errorf("with traffic they are others: %s", d)
		}
	}
}
