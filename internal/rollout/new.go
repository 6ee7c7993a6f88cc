package rollout

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Running is what a target was last switched to, as the server recorded it.
type Running struct {
	Component towpath.ComponentName
	Kind      towpath.ComponentKind
	Place     towpath.PlaceName
	Release   towpath.Digest // in which the revision was deployed
	Revision  towpath.RevisionID
	Layer     towpath.Digest
	Size      int64           // bytes
	Rendered  json.RawMessage `json:",omitempty"`
	Timeout   time.Duration
	// Unsure is set from the first step of a deployment until its last: what
	// runs may differ from Revision, so that the next one may not skip it.
	Unsure bool
}

// UnmarshalJSON implements [json.Unmarshaler]. Records of where nothing runs say
// that it was rendered null, which is nothing, and no text to plan with.
func (r *Running) UnmarshalJSON(b []byte) error {
	type plain Running
	if err := json.Unmarshal(b, (*plain)(r)); err != nil {
		return err
	}
	if string(r.Rendered) == "null" {
		r.Rendered = nil
	}
	return nil
}

// New lists the rollouts of a deployment of a release into an environment, in
// dependency order, components that go away last. Components that run the
// desired revision already are left out.
func New(content *towpath.ReleaseContent, env towpath.ReleaseEnvironment, running []Running, plan *towpath.Plan) []towpath.Rollout {
	var out []towpath.Rollout
	for _, c := range inDependencyOrder(content.Components) {
		rendered, ok := env.Component(c.Name)
		if !ok {
			continue
		}
		r := towpath.Rollout{
			Component: c.Name, Kind: c.Kind, DependsOn: c.DependsOn,
			Action: towpath.ActionCreate, To: rendered.Revision, Timeout: c.Rollout.Timeout, Progress: c.Rollout.ProgressTime(),
		}
		if now, ok := find(running, c.Name); ok {
			r.From = now.Revision
			if now.Revision == rendered.Revision && !now.Unsure {
				continue
			}
			if now.Revision != "" {
				r.Action = towpath.ActionReplace
				r.Before = before(now)
			}
		}
		r.PlanHash = planHash(plan, c.Name)
		out = append(out, r)
	}
	for _, now := range slices.Backward(running) {
		if _, stays := env.Component(now.Component); stays || (now.Revision == "" && !now.Unsure) {
			continue
		}
		out = append(out, towpath.Rollout{
			Component: now.Component, Kind: now.Kind, Action: towpath.ActionRemove,
			From: now.Revision, Before: before(now), Timeout: now.Timeout, PlanHash: planHash(plan, now.Component),
		})
	}
	return out
}

func before(now Running) *towpath.Before {
	return &towpath.Before{Release: now.Release, Layer: now.Layer, Size: now.Size, Rendered: now.Rendered}
}

func find(running []Running, name towpath.ComponentName) (Running, bool) {
	for _, r := range running {
		if r.Component == name {
			return r, true
		}
	}
	return Running{}, false
}

func planHash(plan *towpath.Plan, name towpath.ComponentName) towpath.Digest {
	if plan == nil {
		return ""
	}
	for _, c := range plan.Components {
		if c.Component == name {
			return c.Hash
		}
	}
	return ""
}

// inDependencyOrder sorts components so that each follows what it depends on,
// otherwise by name. Cycles were refused when the project file was read; what
// is left of one here is appended by name.
func inDependencyOrder(components []towpath.ReleaseComponent) []towpath.ReleaseComponent {
	todo := slices.Clone(components)
	slices.SortFunc(todo, func(a, b towpath.ReleaseComponent) int { return cmp.Compare(a.Name, b.Name) })
	known := map[towpath.ComponentName]bool{}
	for _, c := range todo {
		known[c.Name] = true
	}
	done := map[towpath.ComponentName]bool{}
	var out []towpath.ReleaseComponent
	for len(todo) > 0 {
		i := slices.IndexFunc(todo, func(c towpath.ReleaseComponent) bool {
			return !slices.ContainsFunc(c.DependsOn, func(d towpath.ComponentName) bool { return known[d] && !done[d] })
		})
		if i < 0 {
			return append(out, todo...)
		}
		done[todo[i].Name] = true
		out = append(out, todo[i])
		todo = slices.Delete(todo, i, i+1)
	}
	return out
}
