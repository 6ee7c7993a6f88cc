package run

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// Plan compares the revision with the previous one, both as they were
// rendered; placeholders show as ${component.output}. It asks nothing of the
// machine: equal input has an equal hash.
func (r *Runner) Plan(_ context.Context, w kind.Work) (towpath.ComponentPlan, error) {
	s := w.Operation.Spec
	p := towpath.ComponentPlan{
		Component: w.Operation.Target.Component, Kind: towpath.KindProcess, Action: towpath.ActionReplace,
		From: s.Previous, To: s.Revision,
	}
	switch {
	case s.Revision == "":
		p.Action = towpath.ActionRemove
	case s.Previous == "":
		p.Action = towpath.ActionCreate
	case s.Previous == s.Revision:
		p.Action = towpath.ActionNone
	}
	if p.Action != towpath.ActionNone {
		before, err := properties(s.Previous, s.PreviousLayer, s.PreviousRendered)
		if err != nil {
			return p, err
		}
		after, err := properties(s.Revision, s.Layer, s.Rendered)
		if err != nil {
			return p, err
		}
		p.Changes = changes(before, after)
	}
	b, err := json.Marshal(p.Changes)
	if err != nil {
		return p, towpath.E(towpath.KindInternal, "process.plan", "the plan can't be encoded").WithCause(err)
	}
	p.Hash = towpath.HashOf(string(p.Component), string(p.Kind), string(p.Action), string(p.From), string(p.To),
		string(s.PreviousLayer), string(s.Layer), string(s.PreviousRendered), string(s.Rendered), string(b))
	return p, nil
}

// properties is a revision as a flat list of what can be compared.
func properties(rev towpath.RevisionID, layer towpath.Digest, rendered json.RawMessage) (map[string]string, error) {
	if rev == "" {
		return nil, nil
	}
	s, err := specOf(rendered)
	if err != nil {
		return nil, err
	}
	m := map[string]string{
		"files": string(layer), "command": quoted(s.Command), "workDir": s.WorkDir, "listen": s.Listen,
		"instances": strconv.Itoa(s.Instances), "stopGrace": s.StopGrace.String(), "answer": "none",
		"health.path": s.Health.Path, "health.interval": s.Health.Interval.String(),
		"health.timeout": s.Health.Timeout.String(), "health.deadline": s.Health.Deadline.String(),
		"logs.maxBytes": strconv.FormatInt(s.Logs.MaxBytes, 10), "logs.keep": strconv.Itoa(s.Logs.Keep),
	}
	optional(m, s)
	for name, v := range s.Env {
		m["env."+name] = v.Literal
		if v.Component != "" {
			m["env."+name] = "${" + v.Component + "." + v.Output + "}"
		}
	}
	for _, p := range s.Ignore {
		m["drift.ignore."+p] = "not looked at"
	}
	jobs(m, "verify.before.", s.Verify.Before)
	jobs(m, "verify.preview.", s.Verify.Preview)
	jobs(m, "verify.step.", s.Verify.Step)
	jobs(m, "verify.after.", s.Verify.After)
	return m, nil
}

// optional are the properties that a revision may do without.
func optional(m map[string]string, s process.Spec) {
	if s.Protocol != route.HTTP1 {
		m["protocol"] = string(s.Protocol)
	}
	if s.Preview != "" {
		m["preview"] = s.Preview
	}
	if s.Drain > 0 {
		m["drain"] = s.Drain.String()
	}
	if s.Memory > 0 {
		m["memory"] = strconv.FormatInt(s.Memory, 10)
	}
	if s.Metrics != nil {
		m["metrics.path"] = s.Metrics.Path
	}
	if s.Answer > 0 {
		m["answer"] = s.Answer.String()
	}
	for _, p := range s.Proxies {
		m["trustedProxies."+p.String()] = "believed"
	}
	if s.Health.GRPC {
		m["health.grpc"] = "true"
	}
}

func jobs(m map[string]string, prefix string, list []process.Job) {
	for _, j := range list {
		what := quoted(j.Command)
		if j.HTTP != nil {
			what = orElse(j.HTTP.Method, "GET") + " " + j.HTTP.Path + " " + strconv.Itoa(orElse(j.HTTP.Status, 200))
			if j.HTTP.Contains != "" {
				what += " contains " + strconv.Quote(j.HTTP.Contains)
			}
		}
		if p := j.Replay; p != nil {
			what = fmt.Sprintf("%s of %s, %d a second, %g %% may be wrong", strings.Join(p.Methods, ", "), p.Requests, p.Rate, p.Allow)
			if p.Within > 0 {
				what += ", each within " + p.Within.String()
			}
		}
		m[prefix+j.Name] = what + " within " + j.Timeout.String()
	}
}

func changes(before, after map[string]string) []towpath.Change {
	keys := map[string]bool{}
	for k := range before {
		keys[k] = true
	}
	for k := range after {
		keys[k] = true
	}
	var out []towpath.Change
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if before[k] != after[k] {
			out = append(out, towpath.Change{Path: k, Before: before[k], After: after[k]})
		}
	}
	return out
}

// quoted is a command as one line that tells its words apart.
func quoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		if out[i] = w; w == "" || strings.ContainsAny(w, " \t\n\"'\\") {
			out[i] = strconv.Quote(w)
		}
	}
	return strings.Join(out, " ")
}
