package store

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/replication"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// InsertReplicationRule adds a rule; a name that is taken is a conflict.
func (tx *Tx) InsertReplicationRule(ctx context.Context, r towpath.ReplicationRule) error {
	text, err := doc(r)
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, "replication.insert", `INSERT INTO replication_rule (project, name, doc) VALUES ($1, $2, $3)
		ON CONFLICT DO NOTHING`, r.Project, r.Name, text)
	if err == nil && n == 0 {
		return towpath.E(towpath.KindConflict, "replication.insert", "there is a rule %s already", r.Name).On(string(r.Name)).
			WithHint("choose another name, or remove that one first")
	}
	return err
}

// ReplicationRule reads a rule.
func (tx *Tx) ReplicationRule(ctx context.Context, p towpath.ProjectName, name towpath.ReplicationName) (towpath.ReplicationRule, error) {
	var r towpath.ReplicationRule
	var text string
	err := one(tx.QueryRow(ctx, `SELECT doc FROM replication_rule WHERE project = $1 AND name = $2`, p, name), "replication rule", string(name), &text)
	if err != nil {
		return r, err
	}
	return r, undoc("replication rule", text, &r)
}

// ReplicationRules lists the rules of a project by name.
func (tx *Tx) ReplicationRules(ctx context.Context, p towpath.ProjectName) ([]towpath.ReplicationRule, error) {
	return list[towpath.ReplicationRule](ctx, tx, "replication rule", `SELECT doc FROM replication_rule WHERE project = $1 ORDER BY name`, p)
}

// AllReplicationRules lists the rules of all projects.
func (tx *Tx) AllReplicationRules(ctx context.Context) ([]towpath.ReplicationRule, error) {
	return list[towpath.ReplicationRule](ctx, tx, "replication rule", `SELECT doc FROM replication_rule ORDER BY project, name`)
}

// DeleteReplicationRule takes a rule away, with what is known of its copies.
func (tx *Tx) DeleteReplicationRule(ctx context.Context, p towpath.ProjectName, name towpath.ReplicationName) error {
	_, err := tx.exec(ctx, "replication.delete", `DELETE FROM replication_rule WHERE project = $1 AND name = $2`, p, name)
	return err
}

// Replications are the releases under a rule, oldest wish first.
func (tx *Tx) Replications(ctx context.Context, p towpath.ProjectName, name towpath.ReplicationName) ([]towpath.Replication, error) {
	return list[towpath.Replication](ctx, tx, "replication", `SELECT doc FROM replication WHERE project = $1 AND rule = $2
		ORDER BY since, digest`, p, name)
}

// ReplicationsOf are the copies of a release, by rule.
func (tx *Tx) ReplicationsOf(ctx context.Context, p towpath.ProjectName, d towpath.Digest) ([]towpath.Replication, error) {
	return list[towpath.Replication](ctx, tx, "replication", `SELECT doc FROM replication WHERE project = $1 AND digest = $2 ORDER BY rule`, p, d)
}

// SaveReplication writes how far a copy is. Since when a gate waits for it stays
// known, also when that was asked after r was read.
func (tx *Tx) SaveReplication(ctx context.Context, r towpath.Replication) error {
	if there, err := tx.insertReplication(ctx, "replication.save", r); err != nil || !there {
		return err
	}
	was, err := tx.lockReplication(ctx, r)
	if towpath.KindOf(err) == towpath.KindNotFound {
		return nil // it was dropped meanwhile
	}
	if err != nil {
		return err
	}
	if r.Asked.IsZero() {
		r.Asked = was.Asked
	}
	return tx.updateReplication(ctx, "replication.save", r)
}

// AskReplication has a release copied by a rule that may be about others; of a
// copy that is known it changes since when it is asked for, unless that is known.
func (tx *Tx) AskReplication(ctx context.Context, r towpath.Replication) error {
	if there, err := tx.insertReplication(ctx, "replication.ask", r); err != nil || !there {
		return err
	}
	was, err := tx.lockReplication(ctx, r)
	if towpath.KindOf(err) == towpath.KindNotFound {
		return nil // it was dropped meanwhile: whoever waits for it asks again
	}
	if err != nil || !was.Asked.IsZero() {
		return err
	}
	was.Asked = r.Asked
	return tx.updateReplication(ctx, "replication.ask", was)
}

// insertReplication writes a copy unless it is there already.
func (tx *Tx) insertReplication(ctx context.Context, op string, r towpath.Replication) (there bool, err error) {
	text, err := doc(r)
	if err != nil {
		return false, err
	}
	n, err := tx.exec(ctx, op, `INSERT INTO replication (project, rule, digest, since, doc) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT DO NOTHING`, r.Project, r.Rule, r.Release, sqldb.Micros(r.Since), text)
	return n == 0, err
}

func (tx *Tx) updateReplication(ctx context.Context, op string, r towpath.Replication) error {
	text, err := doc(r)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, op, `UPDATE replication SET since = $4, doc = $5 WHERE project = $1 AND rule = $2 AND digest = $3`,
		r.Project, r.Rule, r.Release, sqldb.Micros(r.Since), text)
	return err
}

// lockReplication reads a copy that nobody else changes until the transaction ends.
func (tx *Tx) lockReplication(ctx context.Context, of towpath.Replication) (r towpath.Replication, err error) {
	var text string
	err = one(tx.QueryRow(ctx, `SELECT doc FROM replication WHERE project = $1 AND rule = $2 AND digest = $3`+tx.lock(), of.Project, of.Rule, of.Release),
		"replication", string(of.Release), &text)
	if err != nil {
		return r, err
	}
	return r, undoc("replication", text, &r)
}

// DeleteReplication forgets a copy.
func (tx *Tx) DeleteReplication(ctx context.Context, r towpath.Replication) error {
	_, err := tx.exec(ctx, "replication.delete", `DELETE FROM replication WHERE project = $1 AND rule = $2 AND digest = $3`, r.Project, r.Rule, r.Release)
	return err
}

// WakeReplications has the places of a project looked at: there may be
// something to copy.
func (tx *Tx) WakeReplications(ctx context.Context, p towpath.ProjectName, now time.Time) error {
	names, err := tx.strings(ctx, "replication.wake", `SELECT name FROM replication_rule WHERE project = $1 ORDER BY name`, p)
	for _, name := range names {
		if err == nil {
			err = tx.Enqueue(ctx, replication.WorkReplication, string(p)+"/"+name, now)
		}
	}
	return err
}
