package gate

import (
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

func TestApprovals(t *testing.T) {
	by := func(who ...towpath.AccountName) func(*Input) {
		return func(in *Input) {
			in.Approvals = nil
			for _, w := range who {
				in.Approvals = append(in.Approvals, yes(*in, w))
			}
		}
	}
	rule := func(rule towpath.ApprovalRule, who ...towpath.AccountName) func(*Input) {
		return func(in *Input) {
			in.Environment.Rules.Gates.Approvals = &rule
			by(who...)(in)
		}
	}
	changed := func(change func(*towpath.Approval)) func(*Input) {
		return func(in *Input) { change(&in.Approvals[0]) }
	}
	no := func(in Input, who towpath.AccountName) towpath.Approval {
		a := yes(in, who)
		a.Approve, a.Reason = false, "the plan drops a table"
		return a
	}
	run(t, towpath.GateApprovals, []test{
		{name: "allows with another person's approval", outcome: towpath.Allow, says: "1 of 1 approval by approver: cleo."},
		{name: "allows where none is asked for", outcome: towpath.Allow, says: "prod asks for no approvals", change: func(in *Input) {
			in.Environment.Rules.Gates.Approvals, in.Approvals, in.Authors, in.Plan = nil, nil, nil, nil
		}},
		{name: "waits without an approval", outcome: towpath.Wait, says: "0 of 1 approval", hints: "towpath approve prm_1", change: by()},
		{name: "waits for the second of two", outcome: towpath.Wait, says: "1 of 2 approvals by approver: cleo", change: rule(towpath.ApprovalRule{Count: 2}, "cleo")},
		{name: "takes a count of nothing for one", outcome: towpath.Wait, says: "0 of 1", change: rule(towpath.ApprovalRule{})},
		{name: "counts a person once", outcome: towpath.Wait, says: "1 of 2", change: rule(towpath.ApprovalRule{Count: 2}, "cleo", "cleo")},
		{name: "allows with two of two", outcome: towpath.Allow, says: "2 of 2 approvals by approver: cleo, dina", change: rule(towpath.ApprovalRule{Count: 2}, "dina", "cleo")},
		{name: "does not count an author", outcome: towpath.Wait, says: "The approval by ana does not count: ana is an author of 1 commit.", change: by("ana")},
		{name: "does not count the promoter", outcome: towpath.Wait, says: "paul asked for the promotion", change: by("paul")},
		{name: "does not count towpath itself", outcome: towpath.Wait, says: "does not count", change: by("towpath")},
		{name: "does not count one without the role", outcome: towpath.Wait, says: "cleo is not approver in prod", change: changed(func(a *towpath.Approval) { a.Roles = []towpath.Role{towpath.RoleAdmin} })},
		{name: "counts one of several roles", outcome: towpath.Allow, says: "by approver or operator: cleo", change: rule(towpath.ApprovalRule{Count: 1, Roles: []towpath.Role{"operator", "approver"}}, "cleo")},
		{name: "lets an approval of another candidate lapse", outcome: towpath.Wait, says: "The approval by cleo has lapsed: the candidate has changed since.", change: changed(func(a *towpath.Approval) { a.Candidate = "cnd_0" })},
		{name: "lets an approval of another plan lapse", outcome: towpath.Wait, says: "lapsed: the plan has changed since", change: changed(func(a *towpath.Approval) { a.PlanHash = "sha256:other" })},
		{name: "lets an approval under other rules lapse", outcome: towpath.Wait, says: "lapsed: the environment's rules have changed since", change: func(in *Input) { in.Environment.Rules.Gates.Soak++ }},
		{name: "names everything that changed", outcome: towpath.Wait, says: "the candidate and the plan have changed since", change: changed(func(a *towpath.Approval) { a.Candidate, a.PlanHash = "cnd_0", "sha256:other" })},
		{name: "does not count an approval of another promotion", outcome: towpath.Wait, says: "0 of 1", change: changed(func(a *towpath.Approval) { a.Promotion = "prm_0" })},
		{name: "waits for the plan that shall be approved", outcome: towpath.Wait, says: "Approvals are given to a plan, and there is none yet.", change: func(in *Input) { in.Plan = nil }},
		{name: "denies what somebody rejects", outcome: towpath.Deny, says: "dina rejected it: “the plan drops a table”.", change: func(in *Input) { in.Approvals = append(in.Approvals, no(*in, "dina")) }},
		{name: "denies a rejection where no approvals are asked for", outcome: towpath.Deny, says: "dina rejected it", change: func(in *Input) {
			in.Approvals = append(in.Approvals, no(*in, "dina"))
			in.Environment.Rules.Gates.Approvals = nil
		}},
		{name: "does not let a rejection lapse with the plan", outcome: towpath.Deny, says: "dina rejected it", change: func(in *Input) {
			in.Approvals = append(in.Approvals, no(*in, "dina"))
			in.Plan.Hash = "sha256:again"
		}},
		{name: "takes what a person said last", outcome: towpath.Allow, says: "1 of 1", change: func(in *Input) {
			earlier := no(*in, "cleo")
			earlier.At = earlier.At.Add(-time.Second)
			in.Approvals = append(in.Approvals, earlier)
		}},
		{name: "takes the no of a yes and a no at once", outcome: towpath.Deny, says: "cleo rejected it", change: func(in *Input) { in.Approvals = append(in.Approvals, no(*in, "cleo")) }},
		{name: "waits for an author without an account", outcome: towpath.Wait, says: "No account has ben@example.com as a verified commit identity (as in c2 “two”)",
			hints: "towpath account identity add ACCOUNT ben@example.com", change: func(in *Input) { in.Authors[1].Account = "" }},
		{name: "names each address without an account once", outcome: towpath.Wait, says: "No account has a@example.com, b@example.com as", change: func(in *Input) {
			in.Authors = []Author{{Commit: "c1", Email: "b@example.com"}, {Commit: "c2", Email: "a@example.com"}, {Commit: "c3", Email: "b@example.com"}}
		}},
		{name: "waits while the authors are not known", outcome: towpath.Wait, says: "authors of 1.4.0 are not known yet", change: func(in *Input) { in.Authors = nil }},
		{name: "needs no authors for the commit that runs already", outcome: towpath.Allow, change: func(in *Input) { in.Authors, in.Environment.Commit = nil, "c2" }},
		{name: "waits when the authors can't be read", outcome: towpath.Wait, says: "could not be found out: git does not answer.", change: func(in *Input) {
			in.Errors = map[towpath.GateName]Unknown{towpath.GateApprovals: {Why: "git does not answer"}}
		}},
		{name: "counts an author in solo mode and says so", outcome: towpath.Allow, says: "Solo: ana approved and is an author of 1 commit.", change: rule(towpath.ApprovalRule{Count: 1, Solo: true}, "ana")},
		{name: "counts the promoter in solo mode and says so", outcome: towpath.Allow, says: "Solo: paul approved and asked for the promotion.", change: rule(towpath.ApprovalRule{Count: 1, Solo: true}, "paul")},
		{name: "needs no mapped authors in solo mode", outcome: towpath.Allow, change: func(in *Input) {
			rule(towpath.ApprovalRule{Count: 1, Solo: true}, "ana")(in)
			in.Authors[0].Account = ""
		}},
		{name: "still wants an approval in solo mode", outcome: towpath.Wait, says: "0 of 1", change: rule(towpath.ApprovalRule{Count: 1, Solo: true})},
		{name: "has no promoter to exclude when it is automatic", outcome: towpath.Allow, change: func(in *Input) {
			in.Promotion.Mode, in.Promotion.RequestedBy = towpath.PromotionAutomatic, towpath.System().Account
		}},
	})
}

func TestMayNotApprove(t *testing.T) {
	in := passing()
	admin := yes(in, "cleo")
	admin.Roles = []towpath.Role{towpath.RoleAdmin}
	solo, none := passing(), passing()
	solo.Environment.Rules.Gates.Approvals.Solo, none.Environment.Rules.Gates.Approvals = true, nil
	for _, tt := range []struct {
		name     string
		in       Input
		approval towpath.Approval
		want     string
	}{
		{"another person may", in, yes(in, "cleo"), ""},
		{"one without the role may not", in, admin, "cleo is not approver in prod."},
		{"an author may not", in, yes(in, "ana"), "ana is an author of 1 commit: nobody approves their own work."},
		{"the promoter may not", in, yes(in, "paul"), "paul asked for the promotion: nobody approves their own work."},
		{"an author may in solo mode", solo, yes(solo, "ana"), ""},
		{"anybody may where no approvals are asked for", none, yes(none, "ana"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := MayNotApprove(tt.in, tt.approval); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			tt.in.Approvals = []towpath.Approval{tt.approval}
			if counts := verdict(t, tt.in, towpath.GateApprovals).Outcome == towpath.Allow; counts != (tt.want == "") {
				t.Errorf("the gate counts it: %t", counts)
			}
		})
	}
}
