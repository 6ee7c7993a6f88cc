package store

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// NextFence raises and returns the fence of a target, at least to floor. When there
// is no higher one it is KindExhausted, and the transaction goes on.
func (tx *Tx) NextFence(ctx context.Context, t towpath.Target, floor int64) (int64, error) {
	var fence int64
	err := tx.QueryRow(ctx, `INSERT INTO target (key, project, environment, component, place, fence, doc) VALUES ($1, $2, $3, $4, $6, $5, '{}')
		ON CONFLICT (key) DO UPDATE SET fence = CASE WHEN target.fence >= excluded.fence THEN target.fence + 1 ELSE excluded.fence END
		WHERE target.fence < $7 RETURNING fence`, t.Key(), t.Project, t.Environment, t.Component, floor, t.Place, int64(math.MaxInt64)).Scan(&fence)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, towpath.E(towpath.KindExhausted, "target.fence", "nobody can be given work on it: its fence is the highest that there is").On(t.Key()).
			WithHint("an agent of an older server raised it: revoke its token, and lower the target's fence in the database, but not below the last one in the journal of the place's agent")
	}
	return fence, sqldb.MapError("target.fence", err)
}

// Running lists what the targets of an environment were last switched to.
func (tx *Tx) Running(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) ([]rollout.Running, error) {
	all, err := list[rollout.Running](ctx, tx, "target", `SELECT doc FROM target WHERE project = $1 AND environment = $2
		AND doc <> '{}' ORDER BY component`, p, e)
	return all, err
}

// SaveRunning writes what a target was switched to.
func (tx *Tx) SaveRunning(ctx context.Context, t towpath.Target, r rollout.Running) error {
	text, err := doc(r)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "target.save", `INSERT INTO target (key, project, environment, component, place, fence, doc)
		VALUES ($1, $2, $3, $4, $6, 0, $5) ON CONFLICT (key) DO UPDATE SET doc = excluded.doc`,
		t.Key(), t.Project, t.Environment, t.Component, text, t.Place)
	return err
}

// SaveObservation writes what was last seen on a target; an older one never
// replaces a newer.
func (tx *Tx) SaveObservation(ctx context.Context, o towpath.Observation) error {
	text, err := doc(o)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "observation.save", `INSERT INTO observation (key, project, environment, at, doc)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT (key) DO UPDATE SET at = excluded.at, doc = excluded.doc
		WHERE observation.at <= excluded.at`,
		o.Target.Key(), o.Target.Project, o.Target.Environment, sqldb.Micros(o.At), text)
	return err
}

// Observations lists what was last seen in a project.
func (tx *Tx) Observations(ctx context.Context, p towpath.ProjectName) ([]towpath.Observation, error) {
	return list[towpath.Observation](ctx, tx, "observation", `SELECT doc FROM observation WHERE project = $1 ORDER BY key`, p)
}

// Session reads who runs things in a place; ok is false when nobody ever did.
func (tx *Tx) Session(ctx context.Context, place towpath.PlaceName) (s deploy.Session, ok bool, err error) {
	var seen int64
	err = tx.QueryRow(ctx, `SELECT agent, session, seen_at FROM agent_session WHERE place = $1`, place).Scan(&s.Agent, &s.ID, &seen)
	if errors.Is(err, sql.ErrNoRows) {
		return s, false, nil
	}
	s.Place, s.Seen = place, sqldb.Time(seen)
	return s, err == nil, sqldb.MapError("agent.session", err)
}

// SaveSession writes who runs things in a place.
func (tx *Tx) SaveSession(ctx context.Context, s deploy.Session) error {
	_, err := tx.exec(ctx, "agent.session", `INSERT INTO agent_session (place, agent, session, seen_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (place) DO UPDATE SET agent = excluded.agent, session = excluded.session, seen_at = excluded.seen_at`,
		s.Place, s.Agent, s.ID, sqldb.Micros(s.Seen))
	return err
}

// TouchSession records a sign of life of a session and says which place it
// serves; ok is false when it is no place's current one.
func (tx *Tx) TouchSession(ctx context.Context, session string, at time.Time) (place towpath.PlaceName, ok bool, err error) {
	err = tx.QueryRow(ctx, `UPDATE agent_session SET seen_at = $1 WHERE session = $2 RETURNING place`,
		sqldb.Micros(at), session).Scan(&place)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return place, err == nil, sqldb.MapError("agent.session", err)
}

// Served lists the places that an agent has ever served.
func (tx *Tx) Served(ctx context.Context) ([]towpath.PlaceName, error) {
	names, err := tx.strings(ctx, "agent.session", `SELECT place FROM agent_session ORDER BY place`)
	out := make([]towpath.PlaceName, len(names))
	for i, n := range names {
		out[i] = towpath.PlaceName(n)
	}
	return out, err
}

// AgentsAway lists the agents that open operations of a deployment wait for, and
// that have not been heard of since a time.
func (tx *Tx) AgentsAway(ctx context.Context, id towpath.DeploymentID, since time.Time) ([]towpath.AgentAway, error) {
	rows, err := tx.Query(ctx, `SELECT o.target, o.place, COALESCE(s.agent, ''), COALESCE(s.seen_at, 0) FROM operation o
		LEFT JOIN agent_session s ON s.place = o.place
		WHERE o.deployment = $1 AND o.phase IN ('pending', 'running') AND COALESCE(s.seen_at, 0) < $2
		ORDER BY o.place, o.created, o.id`, id, sqldb.Micros(since))
	if err != nil {
		return nil, sqldb.MapError("agent.away", err)
	}
	defer rows.Close()
	var out []towpath.AgentAway
	for rows.Next() {
		var target string
		var a towpath.AgentAway
		var seen int64
		if err := rows.Scan(&target, &a.Place, &a.Agent, &seen); err != nil {
			return nil, sqldb.MapError("agent.away", err)
		}
		if len(out) == 0 || out[len(out)-1].Place != a.Place {
			a.Seen = sqldb.Time(seen)
			out = append(out, a)
		}
		last := &out[len(out)-1]
		if c := componentOf(target); !slices.Contains(last.Components, c) {
			last.Components = append(last.Components, c)
		}
	}
	return out, sqldb.MapError("agent.away", rows.Err())
}

// componentOf is the component of a target's key.
func componentOf(key string) towpath.ComponentName {
	return towpath.ComponentName(strings.Split(key, "/")[2])
}

// AgentSeen is the last sign of life of the agent of a place; zero when there
// never was one.
func (tx *Tx) AgentSeen(ctx context.Context, place towpath.PlaceName) (time.Time, error) {
	s, _, err := tx.Session(ctx, place)
	return s.Seen, err
}
