package store

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/trust"
)

// InsertPromotion adds a promotion.
func (tx *Tx) InsertPromotion(ctx context.Context, p towpath.Promotion) error {
	text, err := doc(stored(p))
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "promotion.insert", `INSERT INTO promotion (id, project, environment, candidate, open, requested, rev, doc)
		VALUES ($1, $2, $3, $4, $5, $6, 1, $7)`,
		p.ID, p.Project, p.Environment, p.Candidate, open(p), sqldb.Micros(p.RequestedAt), text)
	return err
}

// Promotion reads a promotion with its approvals.
func (tx *Tx) Promotion(ctx context.Context, id towpath.PromotionID) (towpath.Promotion, error) {
	return tx.promotion(ctx, id, "")
}

// LockPromotion reads a promotion and locks its row.
func (tx *Tx) LockPromotion(ctx context.Context, id towpath.PromotionID) (towpath.Promotion, error) {
	return tx.promotion(ctx, id, tx.lock())
}

func (tx *Tx) promotion(ctx context.Context, id towpath.PromotionID, lock string) (towpath.Promotion, error) {
	var p towpath.Promotion
	var text string
	var rev int64
	if err := one(tx.QueryRow(ctx, `SELECT doc, rev FROM promotion WHERE id = $1`+lock, id), "promotion", string(id), &text, &rev); err != nil {
		return p, err
	}
	if err := undoc("promotion", text, &p); err != nil {
		return p, err
	}
	p.Rev = rev
	var err error
	p.Approvals, err = tx.Approvals(ctx, id)
	return p, err
}

// SavePromotion writes a promotion that was read in this transaction.
func (tx *Tx) SavePromotion(ctx context.Context, p towpath.Promotion) error {
	text, err := doc(stored(p))
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, "promotion.save", `UPDATE promotion SET open = $1, rev = rev + 1, doc = $2 WHERE id = $3 AND rev = $4`,
		open(p), text, p.ID, p.Rev)
	if err == nil && n == 0 {
		return moved("promotion", string(p.ID))
	}
	return err
}

// OpenPromotions lists the promotions of an environment that have not ended,
// oldest first, without their approvals.
func (tx *Tx) OpenPromotions(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) ([]towpath.Promotion, error) {
	return list[towpath.Promotion](ctx, tx, "promotion", `SELECT doc FROM promotion
		WHERE project = $1 AND environment = $2 AND open = 1 ORDER BY requested, id`, p, e)
}

// WakePromotions has every promotion of a project that has not ended judged
// again; of all projects when it is empty. The loop of each environment does it
// once this transaction has committed: a promotion that is asked for meanwhile
// can't be seen here, and may be judged without what this transaction writes.
func (tx *Tx) WakePromotions(ctx context.Context, p towpath.ProjectName, now time.Time) error {
	keys, err := tx.strings(ctx, "promotion.wake", `SELECT project || '/' || name FROM environment WHERE project = $1 OR $1 = '' ORDER BY project, name`, p)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := tx.Enqueue(ctx, promote.WorkEnvironment, key, now); err != nil {
			return err
		}
	}
	return nil
}

// WakeExaminations has a release looked at: whether it is made with what is
// quarantined, and who signed it.
func (tx *Tx) WakeExaminations(ctx context.Context, p towpath.ProjectName, d towpath.Digest, now time.Time) error {
	for _, kind := range []string{release.WorkExamination, trust.WorkSigners, trust.WorkFindings} {
		if err := tx.Enqueue(ctx, kind, string(p)+"/"+string(d), now); err != nil {
			return err
		}
	}
	return nil
}

// PromotionsOf lists the promotions of a candidate into an environment, newest
// first, without their approvals.
func (tx *Tx) PromotionsOf(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, c towpath.CandidateID) ([]towpath.Promotion, error) {
	return list[towpath.Promotion](ctx, tx, "promotion", `SELECT doc FROM promotion
		WHERE project = $1 AND environment = $2 AND candidate = $3 ORDER BY requested DESC, id DESC`, p, e, c)
}

// OutcomeAttestations lists what the server itself attached to a release: how its
// promotions ended.
func (tx *Tx) OutcomeAttestations(ctx context.Context, p towpath.ProjectName, release towpath.Digest) ([]towpath.Digest, error) {
	all, err := list[towpath.Promotion](ctx, tx, "promotion", `SELECT promotion.doc FROM promotion
		JOIN candidate ON candidate.project = promotion.project AND candidate.id = promotion.candidate
		WHERE candidate.project = $1 AND candidate.digest = $2 AND promotion.open = 0`, p, release)
	var out []towpath.Digest
	for _, x := range all {
		if x.Attestation != "" {
			out = append(out, x.Attestation)
		}
	}
	return out, err
}

// Promotions lists promotions newest first, at most limit, those before an ID
// when one is given.
func (tx *Tx) Promotions(ctx context.Context, f promote.Filter, limit int) ([]towpath.Promotion, error) {
	q := `SELECT doc FROM promotion WHERE project = $1`
	args := []any{f.Project}
	add := func(clause string, v any) {
		args = append(args, v)
		q += clause + sqldb.Params(len(args), 1)
	}
	if f.Environment != "" {
		add(` AND environment = `, f.Environment)
	}
	if f.Open {
		add(` AND open = `, 1)
	}
	if f.Cursor != "" {
		add(` AND id < `, f.Cursor)
	}
	add(` ORDER BY id DESC LIMIT `, limit)
	return list[towpath.Promotion](ctx, tx, "promotion", q, args...)
}

// InsertApproval records one person's decision.
func (tx *Tx) InsertApproval(ctx context.Context, a towpath.Approval) error {
	text, err := doc(a)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "approval.insert", `INSERT INTO approval (id, promotion, given, doc) VALUES ($1, $2, $3, $4)`,
		a.ID, a.Promotion, sqldb.Micros(a.At), text)
	return err
}

// Approvals lists the decisions on a promotion in the order they were made.
func (tx *Tx) Approvals(ctx context.Context, id towpath.PromotionID) ([]towpath.Approval, error) {
	return list[towpath.Approval](ctx, tx, "approval", `SELECT doc FROM approval WHERE promotion = $1 ORDER BY given, id`, id)
}

// ApprovalsOf lists the decisions on every promotion of a candidate, in the order
// they were made.
func (tx *Tx) ApprovalsOf(ctx context.Context, p towpath.ProjectName, c towpath.CandidateID) ([]towpath.Approval, error) {
	return list[towpath.Approval](ctx, tx, "approval", `SELECT a.doc FROM approval a JOIN promotion p ON p.id = a.promotion
		WHERE p.project = $1 AND p.candidate = $2 ORDER BY a.given, a.id`, p, c)
}

func stored(p towpath.Promotion) towpath.Promotion { p.Approvals = nil; return p }

func open(p towpath.Promotion) int64 {
	return sqldb.Bool(!towpath.PromotionTransitions().Terminal(p.Phase))
}
