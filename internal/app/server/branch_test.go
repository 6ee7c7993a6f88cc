package server

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// at waits until a branch is where its environment is.
func (h *harness) at(branch string, e towpath.EnvironmentName) {
	h.t.Helper()
	h.until(branch+" is where "+string(e)+" is", func() bool {
		st := h.status(e)
		return st.Branch.Pending == "" && st.Commit != "" && h.repo.Tip("refs/heads/"+branch) == st.Commit &&
			h.repo.Tip("refs/towpath/env/"+string(e)) == st.Commit
	})
}

func TestServer_BranchesFollowTenPromotionsInARow(t *testing.T) {
	h := newHarness(t)
	for i := range 10 {
		version := fmt.Sprintf("1.%d.0", i)
		h.publish(version, version)
		h.runs("staging", version)
		p := h.promotion("prod", version, towpath.PromotionWaiting)
		_, err := h.svc.Promotions.Approve(context.Background(), h.ben, p.ID, true, "")
		must(t, 0, err)
		h.runs("prod", version)
		h.at("staging", "staging")
		h.at("production", "prod")
	}
}

func TestServer_AMergeMadeByHandThatBringsNothingIsNoObstacle(t *testing.T) {
	h := newHarness(t)
	h.publish("1.0.0", "one")
	h.runs("staging", "1.0.0")
	h.at("staging", "staging")

	// Somebody merges main into staging by hand: a merge with main's tree.
	h.repo.WriteFile("more", "of it")
	h.repo.CommitAs(gittest.Ana, "more")
	h.repo.Checkout("staging")
	merge := h.repo.Merge("main", "--no-ff")
	h.repo.Checkout("main")

	h.publish("1.1.0", "two")
	h.runs("staging", "1.1.0")
	h.until("staging holds the merge and the candidate", func() bool {
		return h.status("staging").Branch.Pending == "" && h.repo.Tip("staging") != merge
	})
	for _, commit := range []towpath.CommitID{merge, h.status("staging").Commit} {
		if out, err := h.repo.Try(gittest.Ana, "", "merge-base", "--is-ancestor", string(commit), "staging"); err != nil {
			t.Errorf("staging lost %s: %v %s", commit, err, out)
		}
	}
	h.publish("1.2.0", "three")
	h.runs("staging", "1.2.0")
}

func TestServer_AForeignCommitOnABranchDeniesAndIsListed(t *testing.T) {
	h := newHarness(t)
	h.publish("1.0.0", "one")
	h.runs("staging", "1.0.0")
	h.at("staging", "staging")
	h.repo.Checkout("staging")
	h.repo.WriteFile("hotfix", "by hand")
	h.repo.CommitAs(gittest.Ben, "Fix it in staging")
	h.repo.Checkout("main")

	h.publish("1.1.0", "two")
	p := h.promotion("staging", "1.1.0", towpath.PromotionDenied)
	if !strings.Contains(p.Reason, "Fix it in staging") && !strings.Contains(p.Reason, "staging") {
		t.Errorf("the reason does not list the commit: %s", p.Reason)
	}
	if st := h.status("staging"); st.Version != "1.0.0" {
		t.Errorf("staging runs %s", st.Version)
	}

	t.Run("merged back upstream, the next candidate passes", func(t *testing.T) {
		h.repo.Merge("staging")
		h.publish("1.2.0", "three")
		h.runs("staging", "1.2.0")
		h.at("staging", "staging")
	})
}

func TestServer_ABranchThatIsCheckedOutWaits(t *testing.T) {
	h := newHarness(t)
	h.publish("1.0.0", "one")
	h.runs("staging", "1.0.0")
	h.at("staging", "staging")
	tree := h.repo.Worktree(t.TempDir()+"/tree", "staging")
	h.publish("1.1.0", "two")
	h.runs("staging", "1.1.0")
	h.until("the move says why it waits", func() bool {
		return strings.Contains(h.status("staging").Branch.Pending, "checked out")
	})
	h.repo.Git("worktree", "remove", "--force", tree)
	must(t, 0, h.s.store.Update(context.Background(), nudge))
	h.at("staging", "staging")
}

func TestServer_ARollbackWritesNoBranch(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	for _, version := range []string{"1.0.0", "1.1.0"} {
		h.publish(version, version)
		h.runs("staging", version)
		h.at("staging", "staging")
	}
	tip := h.repo.Tip("staging")
	old := must3(h.svc.Promotions.List(ctx, h.ana, promote.Filter{Project: shop, Environment: "staging"}))(t).Items[1].Commit
	_, err := h.svc.Deploys.Rollback(ctx, h.ana, rollbackTo("staging"))
	must(t, 0, err)
	h.runs("staging", "1.0.0")
	h.until("the environment's own ref follows", func() bool { return h.repo.Tip("refs/towpath/env/staging") == old })
	if got := h.repo.Tip("staging"); got != tip {
		t.Errorf("the branch moved to %s", got)
	}
}

func TestServer_APushToAnEnvironmentsBranchAsksForItsPromotion(t *testing.T) {
	h := newHarness(t)
	h.staging = towpath.PromotionManual
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	h.ref = "staging"
	h.publish("1.1.0", "two")
	h.runs("staging", "1.1.0")
	l, err := h.svc.Promotions.List(context.Background(), h.ana, promote.Filter{Project: shop, Environment: "staging"})
	must(t, 0, err)
	if len(l.Items) != 1 {
		t.Errorf("%d promotions into staging, want that of the push", len(l.Items))
	}
}

func TestServer_ARollbacksHoldSaysThatTheBranchIsAhead(t *testing.T) {
	h := newHarness(t)
	for _, version := range []string{"1.0.0", "1.1.0"} {
		h.publish(version, version)
		h.runs("staging", version)
		h.at("staging", "staging")
	}
	_, err := h.svc.Deploys.Rollback(context.Background(), h.ana, rollbackTo("staging"))
	must(t, 0, err)
	h.runs("staging", "1.0.0")
	if st := h.status("staging"); st.Hold == nil || !strings.Contains(st.Hold.Reason, "the branch staging stays ahead, at 1.1.0") {
		t.Errorf("the hold says %+v", st.Hold)
	}
	if got, want := h.repo.Tip("staging"), h.repo.Tip("main"); got != want {
		t.Errorf("the branch moved to %s", got)
	}
}
