package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Blame is what an alert makes of a deployment.
type Blame int

// The ways to blame a deployment.
const (
	Blameless     Blame = iota
	BlameInWay          // under way: it goes back as if it had been judged worse
	BlameStanding       // it made the environment what it is: that is rolled back
)

// clocksDiffer is how far the clock of who sends alerts may be ahead of ours.
const clocksDiffer = 30 * time.Second

// Blamed says what an alert that fires makes of the last deployment of an
// environment, and why. In doubt the deployment is not to blame: a rollback for
// somebody else's trouble is an outage of our own making.
func Blamed(a towpath.Alert, d *towpath.Deployment, env towpath.Environment, now time.Time) (Blame, string) {
	if a.StartsAt.Sub(now) > clocksDiffer {
		return Blameless, fmt.Sprintf("it fires since %s, and the server's clock says %s: nobody can tell what it is about until their clocks agree", clock(a.StartsAt), clock(now))
	}
	if why := elsewhere(a, d); why != "" {
		return Blameless, why
	}
	switch d.Kind {
	case towpath.DeploymentRollback:
		return Blameless, fmt.Sprintf("the last deployment, %s, is a rollback: a person decides where to go from there", d.ID)
	case towpath.DeploymentRepair:
		return Blameless, fmt.Sprintf("the last deployment, %s, is a repair, which brings nothing new", d.ID)
	}
	if since, _ := a.Since(); since.Before(d.CreatedAt) {
		cause := ""
		if since.Before(a.StartsAt) {
			cause = fmt.Sprintf(" for what was so since %s", clock(since))
		}
		return Blameless, fmt.Sprintf("it fires since %s%s, and the last deployment, %s of %s, began at %s", clock(a.StartsAt), cause, d.ID, d.Version, clock(d.CreatedAt))
	}
	switch d.Phase {
	case towpath.DeploymentPreparing, towpath.DeploymentSwitching:
		return BlameInWay, fmt.Sprintf("the deployment of %s was under way", d.Version)
	case towpath.DeploymentRetiring, towpath.DeploymentSucceeded:
		return standing(d, env, now)
	}
	return Blameless, fmt.Sprintf("the last deployment, %s of %s, is %s", d.ID, d.Version, d.Phase)
}

// Past reports whether a deployment was an experiment that was over when what an alert
// tells of began: what ran before has all of the traffic since, as if nothing had been.
func Past(a towpath.Alert, d *towpath.Deployment) bool {
	since, _ := a.Since()
	return d.Phase == towpath.DeploymentConcluded && since.After(d.FinishedAt)
}

// standing blames what an environment runs as long as it is watched.
func standing(d *towpath.Deployment, env towpath.Environment, now time.Time) (Blame, string) {
	watch, since := env.Rules.WatchTime(), now.Sub(env.Since)
	switch {
	case env.Deployment != d.ID:
		return Blameless, fmt.Sprintf("%s does not run what %s deployed", env.Name, d.ID)
	case watch <= 0:
		return Blameless, fmt.Sprintf("%s watches nothing that was deployed", env.Name)
	case since > watch:
		return Blameless, fmt.Sprintf("%s has run for %s, and is watched for %s", d.Version, since.Round(time.Second), watch)
	}
	return BlameStanding, fmt.Sprintf("%s has run for %s, and is watched for %s", d.Version, max(0, since).Round(time.Second), watch)
}

// elsewhere is why an alert is not about a deployment, by what its labels name;
// empty: it may be.
func elsewhere(a towpath.Alert, d *towpath.Deployment) string {
	if id := a.Identifier("deployment", "dep_"); id != "" && id != string(d.ID) {
		return fmt.Sprintf("it is about the deployment %s, and the last one is %s", id, d.ID)
	}
	component, revision := a.Label("component"), a.Identifier("revision", "rev_")
	if component == "" && revision == "" {
		return ""
	}
	named := slices.ContainsFunc(d.Components, func(r towpath.Rollout) bool {
		return (component == "" || component == string(r.Component)) && (revision == "" || revision == string(r.To))
	})
	switch {
	case named:
		return ""
	case revision != "":
		return fmt.Sprintf("it is about the revision %s, and the last deployment, %s, does not bring that", revision, d.ID)
	}
	return fmt.Sprintf("it is about %s, of which the last deployment, %s, changes nothing", component, d.ID)
}

func clock(t time.Time) string { return t.UTC().Format(time.DateTime) }
