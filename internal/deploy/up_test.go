package deploy

import (
	"testing"
	"time"

	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// TestService_look: a server that was away for long lets agents say first what they did
// meanwhile. What it finds is no lack of progress until then.
func TestService_look(t *testing.T) {
	s := New(Config{}, nil, nil, nil, nil)
	d := towpath.Deployment{Phase: towpath.DeploymentPreparing, Components: []towpath.Rollout{{
		Component: "api", Action: towpath.ActionReplace, From: "old", To: "new", Progress: 30 * time.Minute,
		Steps: []towpath.Step{{Verb: towpath.VerbPrepare, Phase: towpath.OperationRunning, Issued: midnight.Add(-time.Hour), Began: midnight.Add(-time.Hour)}},
	}}}
	for after, goesBack := range map[time.Duration]bool{0: false, time.Second: false, 59 * time.Second: false, time.Minute: true} {
		first, err := s.look(t.Context(), nil, &d, nil, midnight)
		if err != nil || !first.Up.Equal(midnight) {
			t.Fatalf("it is there since %s, %v", first.Up, err)
		}
		seen, err := s.look(t.Context(), nil, &d, nil, midnight.Add(after))
		if dec := rollout.Next(&d, seen); err != nil || (dec.Trigger == towpath.TriggerStepFail) != goesBack {
			t.Errorf("%s after it came back: %+v, %v", after, dec, err)
		}
	}
}
