package release

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// maxFaults is how many faults of a content an error names.
const maxFaults = 5

// checkRules refuses a content that no towpath.yaml gives: whoever may publish can
// write one by hand, and whoever opens an environment reads what it says. What was
// published before is not looked at again. raw is the content as it came.
func checkRules(content *towpath.ReleaseContent, raw []byte) error {
	var found []string
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if n := len(content.Environments); n > towpath.MaxEnvironments {
		say("it has %d environments, and at most %d are allowed", n, towpath.MaxEnvironments)
	}
	if n := len(content.Components); n > towpath.MaxComponents {
		say("it has %d components, and at most %d are allowed", n, towpath.MaxComponents)
	}
	if len(found) == 0 { // what has no end is not looked through
		before := map[towpath.EnvironmentName]bool{"": true}
		branches := map[string]towpath.EnvironmentName{}
		for _, e := range content.Environments {
			name, at := e.Rules.Name, "environments."+string(e.Rules.Name)
			for _, f := range e.Rules.Faults() {
				if f.Path != "" {
					f.Path = "." + f.Path
				}
				say("%s%s: %s", at, f.Path, f.Message)
			}
			if !before[e.Rules.From] {
				say("%s.from: no environment %q comes before it", at, e.Rules.From)
			}
			if other, taken := branches[e.Rules.Branch]; taken && e.Rules.Branch != "" {
				say("%s.branch: the branch %q is already that of %s", at, e.Rules.Branch, other)
			}
			before[name], branches[e.Rules.Branch] = true, name
			for _, r := range e.Components {
				if why := unrollable(content, r); why != "" {
					say("%s.components.%s: %s", at, r.Name, why)
				}
			}
		}
		general, of := 0, map[towpath.ComponentName]int{}
		for _, o := range content.Objectives {
			if o.Component == "" {
				general++
			} else {
				of[o.Component]++
			}
			if why := boundless(o); why != "" {
				say("the objective %q %s", shortened(o.Name), why)
			}
		}
		for _, c := range content.Components {
			if n := general + of[c.Name]; n > towpath.MaxObjectives {
				say("components.%s: %d objectives are for it, and at most %d are allowed", c.Name, n, towpath.MaxObjectives)
			}
		}
	}
	if len(found) == 0 {
		if text, is := driving(raw); is {
			say("%q has a control character", shortened(text))
		}
	}
	if len(found) == 0 {
		return nil
	}
	err := towpath.E(towpath.KindInvalid, "release.publish", "the release says what no towpath.yaml may say: %s", joined(found))
	return err.WithHint("publish what `towpath release build` made of a towpath.yaml that `towpath check` accepts")
}

// unrollable is why a component can't be replaced instance by instance: each batch is a
// step that the server writes down. Empty: it can, or is replaced in another way.
func unrollable(content *towpath.ReleaseContent, r towpath.RenderedComponent) string {
	c, _ := content.Component(r.Name)
	n := max(r.Instances, 1)
	if c.Rollout.Strategy != towpath.StrategyRolling || n <= towpath.MaxBatches*c.Rollout.Batch(n) {
		return ""
	}
	return fmt.Sprintf("a rolling update of %d instances takes more than %d batches", n, towpath.MaxBatches)
}

// boundless is why values can't be judged by an objective; empty: they can.
func boundless(o towpath.Objective) string {
	switch {
	case o.Kind == towpath.ObjectiveQuantile && o.Below == nil:
		return "does not say below what its values have to be"
	case o.Kind == towpath.ObjectiveThreshold && (o.Below == nil) == (o.Above == nil):
		return "does not say what its value has to be below or above"
	}
	return ""
}

func joined(found []string) string {
	var b bytes.Buffer
	for i, f := range found {
		if i == maxFaults {
			fmt.Fprintf(&b, "; and %d more", len(found)-i)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(f)
	}
	return b.String()
}

func shortened(text string) string {
	const most = 120
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// long are the members whose texts may have several lines: what programs are
// started with, and queries.
func long(name string) bool {
	return slices.Contains([]string{"spec", "query", "good", "bad", "total"}, name)
}

// unbroken takes from a text what a text of several lines may have.
var unbroken = strings.NewReplacer("\n", "", "\r", "", "\t", "", "\u2028", "", "\u2029", "")

// driving is a string of a content, or a name in it, that has a control character:
// it could drive the terminal of whoever reads it.
func driving(raw []byte) (text string, is bool) {
	var v any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return "", false // it was read before
	}
	return drivingIn(v, false)
}

func drivingIn(v any, lines bool) (string, bool) {
	switch v := v.(type) {
	case string:
		text := v
		if lines {
			text = unbroken.Replace(v)
		}
		return v, !towpath.OneLine(text)
	case []any:
		for _, x := range v {
			if text, is := drivingIn(x, lines); is {
				return text, true
			}
		}
	case map[string]any:
		for name, x := range v {
			if !towpath.OneLine(name) {
				return name, true
			}
			if text, is := drivingIn(x, lines || long(name)); is {
				return text, true
			}
		}
	}
	return "", false
}
