package gate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// approvals wants enough of the right people to agree to exactly this
// candidate, plan and policy.
//
//   - A yes counts when its giver holds one of the roles and is neither an
//     author of a commit that the environment does not run yet nor the one who
//     asked for the promotion. In solo mode authors and promoters count, and
//     the reasons say so.
//   - A yes to another candidate, plan or policy has lapsed.
//   - Each person counts once, by what they said last. A no denies, and does
//     not lapse with the plan: who refused a candidate has not agreed to it
//     because its plan was computed again.
//   - An author that no account stands for could be anybody, the approver too:
//     until the identity is mapped the gate waits.
func approvals(in Input) finding {
	rule := in.Environment.Rules.Gates.Approvals
	cast := ballots(in)
	inputs := map[string]any{
		"rule": rule, "policyVersion": PolicyVersion(in.Environment.Rules), "promoter": in.Promotion.RequestedBy,
		"authors": authorNames(in), "approvals": cast, "candidate": in.Candidate.ID,
	}
	if planned(in) {
		inputs["planHash"] = in.Plan.Hash
	}
	if no := rejections(cast); len(no) > 0 {
		return deny(inputs, "promote a release that answers the objection", no...)
	}
	if rule == nil {
		return allow(inputs, fmt.Sprintf("%s asks for no approvals.", in.Environment.Name))
	}
	var t tally
	for _, a := range cast {
		t.add(in, *rule, a)
	}
	need := max(1, rule.Count)
	summary := fmt.Sprintf("%d of %s by %s%s.", len(t.counted), count(need, "approval"), roleNames(*rule), colon(t.counted))
	reasons := append([]string{summary}, t.remarks...)
	if !rule.Solo {
		if hint, why := unknownAuthors(in); why != "" {
			return wait(inputs, hint, append([]string{why}, reasons...)...)
		}
	}
	if !planned(in) {
		return wait(inputs, "the plan comes by itself", append(reasons, "Approvals are given to a plan, and there is none yet.")...)
	}
	if len(t.counted) < need {
		hint := fmt.Sprintf("towpath approve %s", in.Promotion.ID)
		if !rule.Solo {
			hint += ", by someone who is neither an author nor the promoter"
		}
		return wait(inputs, hint, reasons...)
	}
	return allow(inputs, reasons...)
}

// tally counts who agreed and remarks on those that do not count.
type tally struct {
	counted []string
	remarks []string
}

func (t *tally) add(in Input, rule towpath.ApprovalRule, a towpath.Approval) {
	if changed := lapsed(in, a); changed != "" {
		t.remarks = append(t.remarks, fmt.Sprintf("The approval by %s has lapsed: %s since.", a.By, changed))
		return
	}
	if !slices.ContainsFunc(a.Roles, func(r towpath.Role) bool { return slices.Contains(roles(rule), r) }) {
		t.remarks = append(t.remarks, fmt.Sprintf("The approval by %s does not count: %s is not %s in %s.",
			a.By, a.By, roleNames(rule), in.Environment.Name))
		return
	}
	own := involvement(in, a.By)
	switch {
	case own == "":
	case rule.Solo:
		t.remarks = append(t.remarks, fmt.Sprintf("Solo: %s approved and %s.", a.By, own))
	default:
		t.remarks = append(t.remarks, fmt.Sprintf("The approval by %s does not count: %s %s.", a.By, a.By, own))
		return
	}
	t.counted = append(t.counted, string(a.By))
}

// ballots is the last word of each person on this promotion, by name. Of a yes
// and a no at the same moment the no is the last.
func ballots(in Input) []towpath.Approval {
	last := map[towpath.AccountName]towpath.Approval{}
	for _, a := range in.Approvals {
		if a.Promotion != in.Promotion.ID || a.By == "" {
			continue
		}
		if old, ok := last[a.By]; !ok || laterBallot(a, old) > 0 {
			last[a.By] = a
		}
	}
	out := make([]towpath.Approval, 0, len(last))
	for _, a := range last {
		a.Roles = slices.Sorted(slices.Values(a.Roles))
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b towpath.Approval) int { return cmp.Compare(a.By, b.By) })
	return out
}

func laterBallot(a, b towpath.Approval) int {
	return cmp.Or(a.At.Compare(b.At), rank(!a.Approve)-rank(!b.Approve), cmp.Compare(a.ID, b.ID),
		cmp.Compare(a.Candidate, b.Candidate), cmp.Compare(a.PlanHash, b.PlanHash),
		cmp.Compare(a.PolicyVersion, b.PolicyVersion), cmp.Compare(a.Reason, b.Reason),
		slices.Compare(a.Roles, b.Roles))
}

func rejections(cast []towpath.Approval) []string {
	var out []string
	for _, a := range cast {
		if !a.Approve {
			out = append(out, fmt.Sprintf("%s rejected it: %s.", a.By, quote(a.Reason)))
		}
	}
	return out
}

// lapsed names what changed since a yes was given; empty when nothing did.
func lapsed(in Input, a towpath.Approval) string {
	var changed []string
	if a.Candidate != in.Candidate.ID {
		changed = append(changed, "the candidate")
	}
	if !planned(in) || a.PlanHash != in.Plan.Hash {
		changed = append(changed, "the plan")
	}
	if a.PolicyVersion != PolicyVersion(in.Environment.Rules) {
		changed = append(changed, "the environment's rules")
	}
	switch len(changed) {
	case 0:
		return ""
	case 1:
		if strings.HasSuffix(changed[0], "s") {
			return changed[0] + " have changed"
		}
		return changed[0] + " has changed"
	default:
		return strings.Join(changed, " and ") + " have changed"
	}
}

// involvement says why a person judges their own work; empty when they do not.
func involvement(in Input, who towpath.AccountName) string {
	var commits int
	for _, a := range distinctAuthors(in) {
		if a.Account == who {
			commits++
		}
	}
	author, promoter := commits > 0, who == in.Promotion.RequestedBy
	switch {
	case author && promoter:
		return fmt.Sprintf("is an author of %s and asked for the promotion", count(commits, "commit"))
	case author:
		return fmt.Sprintf("is an author of %s", count(commits, "commit"))
	case promoter:
		return "asked for the promotion"
	case who == towpath.System().Account:
		return "is Towpath itself"
	}
	return ""
}

func roles(rule towpath.ApprovalRule) []towpath.Role {
	if len(rule.Roles) == 0 {
		return []towpath.Role{towpath.RoleApprover}
	}
	return rule.Roles
}

func roleNames(rule towpath.ApprovalRule) string {
	var names []string
	for _, r := range roles(rule) {
		names = append(names, string(r))
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " or ")
}

func colon(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ": " + list(names)
}
