package towpath

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Alert is what an alert manager says of something that hurts, or did.
type Alert struct {
	Fingerprint string            `json:"fingerprint"` // of its labels
	Firing      bool              `json:"firing"`      // else it is resolved
	StartsAt    time.Time         `json:"startsAt"`    // when it began to fire, by the clock of who says so
	Labels      map[string]string `json:"labels"`
	Summary     string            `json:"summary,omitempty"` // for people
}

// LabelPrefix begins the labels that nobody but Towpath reads. Of a label with
// and one without it, that with it wins.
const LabelPrefix = "towpath_"

// AlertAction is what an alert asks for, by its label towpath_action. An alert
// without the label asks for nothing, however bad it is.
type AlertAction string

// AlertRollback asks for what was just deployed to go back.
const AlertRollback AlertAction = "rollback"

// Action is what the alert asks for.
func (a Alert) Action() AlertAction { return AlertAction(a.Labels[LabelPrefix+"action"]) }

// Label is the value of a label, or of the one with [LabelPrefix].
func (a Alert) Label(name string) string { return cmp.Or(a.Labels[LabelPrefix+name], a.Labels[name]) }

// Identifier is the value of a label that names something which Towpath minted.
// Others have labels of these names too, a Deployment of Kubernetes or its
// revision: a value without the prefix of our identifiers is theirs, unless the
// label is plainly ours.
func (a Alert) Identifier(name, prefix string) string {
	if v := a.Labels[LabelPrefix+name]; v != "" {
		return v
	}
	if v := a.Labels[name]; strings.HasPrefix(v, prefix) {
		return v
	}
	return ""
}

// Name is what people call the alert.
func (a Alert) Name() string { return cmp.Or(a.Labels["alertname"], a.Fingerprint) }

// Since is when the alert's condition came true: it begins to fire once that has
// lasted for what its rule says (`for`), which only the label towpath_for tells.
// False: that label is no time.
func (a Alert) Since() (since time.Time, ok bool) {
	pending := a.Labels[LabelPrefix+"for"]
	if pending == "" {
		return a.StartsAt, true
	}
	d, err := time.ParseDuration(pending)
	return a.StartsAt.Add(-max(d, 0)), err == nil && d >= 0
}

// LabelsHash names a set of labels.
func LabelsHash(labels map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, k, labels[k])
	}
	return HashOf(parts...).Hex()[:16]
}

// AlertOutcome is what came of an alert.
type AlertOutcome string

// What may come of an alert.
const (
	AlertActed    AlertOutcome = "acted"    // what it blames goes back
	AlertRepeated AlertOutcome = "repeated" // it was acted on before
	AlertIgnored  AlertOutcome = "ignored"  // there is nothing to do, or it may not be done
)

// AlertRecord is what is known of an alert that an environment was told of.
type AlertRecord struct {
	Project     ProjectName     `json:"project"`
	Environment EnvironmentName `json:"environment"`
	Fingerprint string          `json:"fingerprint"`
	StartsAt    time.Time       `json:"startsAt"`
	Outcome     AlertOutcome    `json:"outcome"`
	Reason      string          `json:"reason"`
	Deployment  DeploymentID    `json:"deployment,omitempty"` // that it blames
	At          time.Time       `json:"at"`
}
