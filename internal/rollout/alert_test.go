package rollout_test

import (
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

func TestBlamed(t *testing.T) {
	began := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	minute := func(n int) time.Time { return began.Add(time.Duration(n) * time.Minute) }
	none, short := time.Duration(0), 2*time.Minute
	for _, tt := range []struct {
		name   string
		labels map[string]string
		starts time.Time
		kind   towpath.DeploymentKind // empty: promotion
		phase  towpath.DeploymentPhase
		watch  *time.Duration
		other  bool // the environment runs what another deployment brought
		want   rollout.Blame
		why    string
	}{
		{name: "what is prepared goes back", phase: towpath.DeploymentPreparing, want: rollout.BlameInWay, why: "was under way"},
		{name: "what has a part of the traffic goes back", phase: towpath.DeploymentSwitching, want: rollout.BlameInWay},
		{name: "what has just got all traffic is rolled back", phase: towpath.DeploymentRetiring, want: rollout.BlameStanding, why: "run for 5m0s, and is watched for 15m0s"},
		{name: "what has succeeded is rolled back", phase: towpath.DeploymentSucceeded, want: rollout.BlameStanding},
		{name: "the watch time is over", phase: towpath.DeploymentSucceeded, watch: &short, why: "has run for 5m0s, and is watched for 2m0s"},
		{name: "nothing is watched", phase: towpath.DeploymentSucceeded, watch: &none, why: "watches nothing"},
		{name: "what is under way goes back all the same", phase: towpath.DeploymentSwitching, watch: &none, want: rollout.BlameInWay},
		{name: "something else runs by now", phase: towpath.DeploymentSucceeded, other: true, why: "does not run what"},
		{name: "what goes back already", phase: towpath.DeploymentReverting, why: "is reverting"},
		{name: "what went back", phase: towpath.DeploymentRolledBack, why: "is rolled-back"},
		{name: "what was preempted", phase: towpath.DeploymentPreempted, why: "is preempted"},
		{name: "a rollback is not rolled back", phase: towpath.DeploymentSucceeded, kind: towpath.DeploymentRollback, why: "a person decides"},
		{name: "a rollback under way stays", phase: towpath.DeploymentSwitching, kind: towpath.DeploymentRollback, why: "a person decides"},
		{name: "a repair brings nothing new", phase: towpath.DeploymentPreparing, kind: towpath.DeploymentRepair, why: "nothing new"},
		{name: "an alert from before", phase: towpath.DeploymentSwitching, starts: minute(-1), why: "fires since 2026-11-21 11:59:00, and the last deployment"},
		{name: "an alert from before what succeeded", phase: towpath.DeploymentSucceeded, starts: minute(-1), why: "fires since"},
		{name: "an alert of the same moment", phase: towpath.DeploymentSwitching, starts: began, want: rollout.BlameInWay},
		{name: "an alert of what was so before", starts: minute(4), labels: map[string]string{"towpath_for": "5m"}, phase: towpath.DeploymentSwitching, why: "it fires since 2026-11-21 12:04:00 for what was so since 2026-11-21 11:59:00, and the last deployment"},
		{name: "an alert of what was so before what succeeded", starts: minute(4), labels: map[string]string{"towpath_for": "4m0.001s"}, phase: towpath.DeploymentSucceeded, why: "since 2026-11-21 11:59:59"},
		{name: "an alert of what is so since that moment", starts: minute(4), labels: map[string]string{"towpath_for": "4m"}, phase: towpath.DeploymentSwitching, want: rollout.BlameInWay},
		{name: "an alert of what is so since then", starts: minute(4), labels: map[string]string{"towpath_for": "3m"}, phase: towpath.DeploymentSucceeded, want: rollout.BlameStanding},
		{name: "a label that anybody may have", starts: minute(4), labels: map[string]string{"for": "5m"}, phase: towpath.DeploymentSwitching, want: rollout.BlameInWay},
		{name: "an alert whose clock is a little ahead", phase: towpath.DeploymentSwitching, starts: minute(6).Add(30 * time.Second), want: rollout.BlameInWay},
		{name: "an alert that begins later", phase: towpath.DeploymentSwitching, starts: minute(6).Add(31 * time.Second), why: "it fires since 2026-11-21 12:06:31, and the server's clock says 2026-11-21 12:06:00"},
		{name: "an alert that begins later, of what is so by now", phase: towpath.DeploymentSwitching, starts: minute(7), labels: map[string]string{"towpath_for": "5m"}, why: "the server's clock says"},
		{name: "an alert that begins in years", phase: towpath.DeploymentSucceeded, starts: began.AddDate(4, 0, 1), why: "it fires since 2030-11-22 12:00:00, and the server's clock"},
		{name: "its component", labels: map[string]string{"component": "api"}, phase: towpath.DeploymentSwitching, want: rollout.BlameInWay},
		{name: "another component", labels: map[string]string{"component": "web"}, phase: towpath.DeploymentSwitching, why: "it is about web"},
		{name: "our label wins", labels: map[string]string{"component": "web", "towpath_component": "api"}, phase: towpath.DeploymentSwitching, want: rollout.BlameInWay},
		{name: "its revision", labels: map[string]string{"revision": "rev_new"}, phase: towpath.DeploymentSwitching, want: rollout.BlameInWay},
		{name: "the revision before", labels: map[string]string{"revision": "rev_old"}, phase: towpath.DeploymentSwitching, why: "it is about the revision rev_old"},
		{name: "the revision of another component", labels: map[string]string{"component": "db", "revision": "rev_new"}, phase: towpath.DeploymentSwitching, why: "rev_new"},
		{name: "a revision of something else", labels: map[string]string{"revision": "42"}, phase: towpath.DeploymentSwitching, want: rollout.BlameInWay},
		{name: "a revision that is plainly meant", labels: map[string]string{"towpath_revision": "42"}, phase: towpath.DeploymentSwitching, why: "the revision 42"},
		{name: "its deployment", labels: map[string]string{"deployment": "dep_2"}, phase: towpath.DeploymentSwitching, want: rollout.BlameInWay},
		{name: "the deployment before", labels: map[string]string{"deployment": "dep_1"}, phase: towpath.DeploymentSwitching, why: "it is about the deployment dep_1"},
		{name: "a Deployment of Kubernetes", labels: map[string]string{"deployment": "api"}, phase: towpath.DeploymentSwitching, want: rollout.BlameInWay},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &towpath.Deployment{
				ID: "dep_2", Version: "1.1.0", Kind: towpath.DeploymentPromotion, Phase: tt.phase, CreatedAt: began,
				Components: []towpath.Rollout{{Component: "api", From: "rev_old", To: "rev_new"}, {Component: "db", From: "rev_d1", To: "rev_d2"}},
			}
			env := towpath.Environment{Name: "prod", Deployment: d.ID, Since: minute(1), Rules: towpath.EnvironmentSpec{Watch: tt.watch}}
			if tt.kind != "" {
				d.Kind = tt.kind
			}
			if tt.other {
				env.Deployment = "dep_9"
			}
			a := towpath.Alert{Firing: true, StartsAt: minute(5), Labels: tt.labels}
			if !tt.starts.IsZero() {
				a.StartsAt = tt.starts
			}
			got, why := rollout.Blamed(a, d, env, minute(6))
			if got != tt.want || !strings.Contains(why, tt.why) {
				t.Errorf("got %d: %s", got, why)
			}
		})
	}
}
