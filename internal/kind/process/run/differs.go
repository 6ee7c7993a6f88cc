package run

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// settings is the digest of the settings that a revision runs with; empty when
// its record is of a version that did not keep them. A record that does not
// agree with itself has those of nothing that was ever deployed.
func (v revision) settings() towpath.Digest {
	if len(v.Rendered) == 0 {
		return ""
	}
	if spec, err := specOf(v.Rendered); err == nil && reflect.DeepEqual(spec, v.Spec) {
		return towpath.SettingsDigest(v.Rendered)
	}
	b, err := json.Marshal(v.Spec)
	if err != nil {
		return ""
	}
	return towpath.SettingsDigest(b)
}

// environmentNow is what a process of a revision would be started with now,
// without what is the agent's own; nil when that can't be told now.
func (r *Runner) environmentNow(ctx context.Context, rec *target, rev towpath.RevisionID) []string {
	env, err := r.environment(ctx, rec.Target, rev, rec.Revisions[rev].Spec)
	if err != nil {
		return nil
	}
	return env[len(r.baseEnv()):]
}

// differing names the variables that a process was not started with as they are
// now. Names only: what is in them may be a secret. What the agent gives of its
// own environment changes with the agent and is nobody's setting.
func differing(had, now []string) []string {
	var out []string
	for _, v := range now {
		if name, _, _ := strings.Cut(v, "="); !slices.Contains(had, v) {
			out = append(out, name)
		}
	}
	return out
}

// union adds names that are not there yet.
func union(names, more []string) []string {
	for _, n := range more {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}
