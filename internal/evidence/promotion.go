package evidence

import (
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Promotion says how the promotion of a candidate into an environment ended,
// so that somebody who can't ask the server can check "this was promoted to
// prod". Its statement is about the release.
type Promotion struct {
	Promotion   towpath.PromotionID     `json:"promotion"`
	Project     towpath.ProjectName     `json:"project"`
	Environment towpath.EnvironmentName `json:"environment"`
	Deployment  towpath.DeploymentID    `json:"deployment,omitempty"`
	Candidate   PromotedCandidate       `json:"candidate"`
	Policy      towpath.Digest          `json:"policyVersion,omitempty"` // the rules it was judged by
	Verdicts    []PromotionVerdict      `json:"verdicts"`                // by gate
	Approvers   []Approver              `json:"approvers"`               // who said yes, by name
	Outcome     towpath.PromotionPhase  `json:"outcome"`
	Reason      string                  `json:"reason,omitempty"`
	RequestedBy towpath.AccountName     `json:"requestedBy"`
	RequestedAt time.Time               `json:"requestedAt"`
	EndedAt     time.Time               `json:"endedAt"`
}

// PromotedCandidate is the candidate of a [Promotion].
type PromotedCandidate struct {
	ID      towpath.CandidateID `json:"id"`
	Release towpath.Digest      `json:"release"`
	Version string              `json:"version"`
	Commit  towpath.CommitID    `json:"commit"`
}

// PromotionVerdict is what one gate said in the end.
type PromotionVerdict struct {
	Gate    towpath.GateName `json:"gate"`
	Outcome towpath.Outcome  `json:"outcome"`
	Reasons []string         `json:"reasons,omitempty"`
	At      time.Time        `json:"at"`
}

// Approver is one person's yes.
type Approver struct {
	Account towpath.AccountName `json:"account"`
	Roles   []towpath.Role      `json:"roles,omitempty"` // held in the environment when given
	At      time.Time           `json:"at"`
}

// PromotionOf is what there is to say about a promotion that ended. What gates
// saw as input stays here: it may name what an outsider need not know.
func PromotionOf(p *towpath.Promotion) Promotion {
	out := Promotion{
		Promotion: p.ID, Project: p.Project, Environment: p.Environment, Deployment: p.Deployment,
		Candidate: PromotedCandidate{ID: p.Candidate, Release: p.Release, Version: p.Version, Commit: p.Commit},
		Policy:    p.PolicyVersion, Verdicts: []PromotionVerdict{}, Approvers: []Approver{},
		Outcome: p.Phase, Reason: p.Reason, RequestedBy: p.RequestedBy, RequestedAt: p.RequestedAt.UTC(), EndedAt: p.UpdatedAt.UTC(),
	}
	for _, v := range p.Verdicts {
		out.Verdicts = append(out.Verdicts, PromotionVerdict{Gate: v.Gate, Outcome: v.Outcome, Reasons: v.Reasons, At: v.At.UTC()})
	}
	slices.SortStableFunc(out.Verdicts, func(a, b PromotionVerdict) int { return strings.Compare(string(a.Gate), string(b.Gate)) })
	for _, a := range p.Approvals {
		// A yes to another candidate, plan or policy has lapsed.
		if a.Approve && a.Candidate == p.Candidate && a.PolicyVersion == p.PolicyVersion && (p.Plan == nil || a.PlanHash == p.Plan.Hash) {
			out.Approvers = append(out.Approvers, Approver{Account: a.By, Roles: a.Roles, At: a.At.UTC()})
		}
	}
	slices.SortStableFunc(out.Approvers, func(a, b Approver) int { return strings.Compare(string(a.Account), string(b.Account)) })
	return out
}

// MakePromotion is the statement of how a promotion ended. One that is under
// way has no outcome to attest.
func MakePromotion(p Promotion) ([]byte, error) {
	const op = "evidence.promotion"
	if p.Outcome != "" && towpath.PromotionTransitions().Terminal(p.Outcome) {
		return Make(string(p.Project), p.Candidate.Release, TypePromotion, p)
	}
	return nil, towpath.E(towpath.KindConflict, op, "the promotion has not ended: it is %s", p.Outcome).On(string(p.Promotion)).
		WithHint("attest it when it ended")
}
