package deploy

import (
	"cmp"
	"slices"

	"github.com/towpath/towpath/internal/towpath"
)

// unseen lists the objectives of a deployment's canaries that the last judgement
// had no evidence of, and those that nothing was to be judged by. What had no share
// of the traffic was not to be judged.
func unseen(d *towpath.Deployment) []towpath.Unseen {
	if d.Kind != towpath.DeploymentPromotion {
		return nil
	}
	var out []towpath.Unseen
	for _, r := range d.Components {
		out = append(out, r.Unjudged...)
		c := r.Canary
		if c == nil || !slices.ContainsFunc(c.Spec.Steps, towpath.RolloutStep.Judged) {
			continue
		}
		users := slices.ContainsFunc(c.Spec.Steps, func(s towpath.RolloutStep) bool { return s.Weight > 0 })
		by := c.PassedBy
		if c.Passed < len(c.Spec.Steps) {
			by = "" // the last step ended by itself
		}
		for _, o := range c.Objectives {
			if !users && !o.Counted() {
				continue // of copies it was not asked
			}
			if why := lacking(c.Judgement, o.Name); why != "" {
				out = append(out, towpath.Unseen{Component: r.Component, Objective: o.Name, Why: why, By: by})
			}
		}
	}
	return out
}

// lacking is what a judgement lacked to say anything of an objective; empty: it
// said something.
func lacking(j *towpath.Judgement, objective string) string {
	const nothing = "Nothing was counted."
	if j == nil {
		return nothing
	}
	i := slices.IndexFunc(j.Objectives, func(o towpath.ObjectiveJudgement) bool { return o.Objective == objective })
	switch {
	case i < 0 && j.Outcome == towpath.JudgedNoEvidence:
		return cmp.Or(j.Sentence, nothing)
	case i >= 0 && j.Objectives[i].Outcome == towpath.JudgedNoEvidence:
		return cmp.Or(j.Objectives[i].Sentence, nothing)
	}
	return ""
}
