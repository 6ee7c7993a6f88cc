package promote

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// Work kinds of the loops.
const (
	WorkPromotion   = "promotion"   // key: a promotion's ID
	WorkEnvironment = "environment" // key: project/environment: look for something to promote
	WorkRef         = "ref"         // key: project/environment: project it into git
	WorkDeployment  = "deployment"  // key: a deployment's ID
)

// Store opens transactions.
type Store interface {
	Update(ctx context.Context, f func(context.Context, Tx) error) error
	View(ctx context.Context, f func(context.Context, Tx) error) error
}

// Tx is what promote reads and writes in one transaction.
type Tx interface {
	Record(ctx context.Context, ev towpath.Event) error
	Enqueue(ctx context.Context, kind, key string, due time.Time) error
	AfterCommit(f func())

	Projects(ctx context.Context) ([]towpath.Project, error)
	Environment(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) (towpath.Environment, error)
	LockEnvironment(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) (towpath.Environment, error)
	Environments(ctx context.Context, p towpath.ProjectName) ([]towpath.Environment, error)
	SaveEnvironment(ctx context.Context, e towpath.Environment) error
	RunsOf(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, c towpath.CandidateID) ([]towpath.Run, error)

	FindCandidates(ctx context.Context, p towpath.ProjectName, name string, limit int) ([]towpath.Candidate, error)
	Candidate(ctx context.Context, id towpath.CandidateID) (towpath.Candidate, error)
	Candidates(ctx context.Context, p towpath.ProjectName, before time.Time, id towpath.CandidateID, limit int) ([]towpath.Candidate, error)
	Collected(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (bool, error)
	FirstPublished(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (time.Time, error)
	Quarantine(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (*towpath.Quarantine, error)
	AccountsByEmail(ctx context.Context) (map[string]towpath.AccountName, error)

	InsertPromotion(ctx context.Context, p towpath.Promotion) error
	Promotion(ctx context.Context, id towpath.PromotionID) (towpath.Promotion, error)
	LockPromotion(ctx context.Context, id towpath.PromotionID) (towpath.Promotion, error)
	SavePromotion(ctx context.Context, p towpath.Promotion) error
	OpenPromotions(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) ([]towpath.Promotion, error)
	PromotionsOf(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, c towpath.CandidateID) ([]towpath.Promotion, error)
	Promotions(ctx context.Context, f Filter, limit int) ([]towpath.Promotion, error)
	InsertApproval(ctx context.Context, a towpath.Approval) error
	ReplicationRules(ctx context.Context, p towpath.ProjectName) ([]towpath.ReplicationRule, error)
	// AskReplication has a release copied by a rule that may be about others, also
	// when what was attached since an earlier copy is not there.
	AskReplication(ctx context.Context, r towpath.Replication) error
	// WakeReplications has the places of a project looked at: there may be
	// something to copy.
	WakeReplications(ctx context.Context, p towpath.ProjectName, now time.Time) error
	ReplicationsOf(ctx context.Context, p towpath.ProjectName, d towpath.Digest) ([]towpath.Replication, error)
	CandidateImages(ctx context.Context, p towpath.ProjectName, d towpath.Digest, c towpath.CandidateID) (towpath.ReleaseImages, error)
	MirrorRule(ctx context.Context, p towpath.ProjectName) (towpath.MirrorRule, error)                         // zero: none
	ApprovalsOf(ctx context.Context, p towpath.ProjectName, c towpath.CandidateID) ([]towpath.Approval, error) // in any environment

	TrustedKeys(ctx context.Context) ([]towpath.TrustedKey, error) // of all projects, with revoked ones

	InsertFreeze(ctx context.Context, f towpath.Freeze) error
	Freeze(ctx context.Context, id towpath.FreezeID) (towpath.Freeze, error)
	Freezes(ctx context.Context, p towpath.ProjectName) ([]towpath.Freeze, error)
	LiftFreeze(ctx context.Context, id towpath.FreezeID) error
	SaveCheck(ctx context.Context, c towpath.Check) error
	Checks(ctx context.Context, p towpath.ProjectName, c towpath.CandidateID, e towpath.EnvironmentName) ([]towpath.Check, error)

	InsertOperation(ctx context.Context, op towpath.Operation) (bool, error)
	LockOperation(ctx context.Context, id towpath.OperationID) (towpath.Operation, error)
	SaveOperation(ctx context.Context, op towpath.Operation) error
	PlanOperations(ctx context.Context, id towpath.PromotionID) ([]towpath.Operation, error)
	Running(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) ([]rollout.Running, error)
	Observations(ctx context.Context, p towpath.ProjectName) ([]towpath.Observation, error)
	InsertDeployment(ctx context.Context, d towpath.Deployment) error
	Deployment(ctx context.Context, id towpath.DeploymentID) (towpath.Deployment, error)
	LockDeployment(ctx context.Context, id towpath.DeploymentID) (towpath.Deployment, error)
	SaveDeployment(ctx context.Context, d towpath.Deployment) error
	AgentSeen(ctx context.Context, place towpath.PlaceName) (time.Time, error) // zero: never
	// AgentGrants lists what all accounts may do as agents of a place.
	AgentGrants(ctx context.Context, place towpath.PlaceName) ([]towpath.Grant, error)

	RefMove(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) (towpath.RefMove, bool, error)
	SaveRefMove(ctx context.Context, m towpath.RefMove) error
	RecordMerge(ctx context.Context, p towpath.ProjectName, c towpath.CommitID, at int64) error
	RecordedMerges(ctx context.Context, p towpath.ProjectName) (map[towpath.CommitID]bool, error)
}

// Contents reads what a release holds.
type Contents interface {
	Content(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (*towpath.ReleaseContent, error)
	// Lost lists what an environment needs of a release and the server has lost.
	Lost(ctx context.Context, p towpath.ProjectName, d towpath.Digest, e towpath.EnvironmentName) ([]towpath.LostPart, error)
}

// Statements verifies what is attached to a release, under the keys that are
// trusted in an environment.
type Statements interface {
	Statements(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, release towpath.Digest) ([]towpath.Attestation, error)
	PublicKeys(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) (map[towpath.KeyName]string, error)
}

// Signer signs authorisations with the ledger's key.
type Signer interface {
	Authorise(a towpath.Authorisation) (string, error)
}

// Repositories is what promote needs of the projects' git repositories.
type Repositories interface {
	// Has reports whether the project has a repository that the server reads.
	Has(ctx context.Context, p towpath.ProjectName) (bool, error)
	// Authors lists authors and committers of the commits that to has and from
	// lacks; from may be empty.
	Authors(ctx context.Context, p towpath.ProjectName, from, to towpath.CommitID) ([]towpath.CommitAuthor, error)
	// Foreign lists the commits on a branch that a candidate lacks, less those
	// recorded, and the merges among them that bring nothing of their own.
	Foreign(ctx context.Context, p towpath.ProjectName, branch string, candidate towpath.CommitID, recorded func(towpath.CommitID) bool) (foreign []towpath.CommitAuthor, empty []towpath.CommitID, err error)
	// PlanAdvance says how a branch would move to a candidate, and the merge
	// commit that it would make, if any. It may write objects, but no ref.
	PlanAdvance(ctx context.Context, m towpath.RefMove, recorded func(towpath.CommitID) bool) (plan json.RawMessage, merge towpath.CommitID, err error)
	// Advance carries a plan out by compare-and-swap; doing it again is fine.
	Advance(ctx context.Context, m towpath.RefMove) error
	// SetEnvironmentRef points the environment's own ref at a commit.
	SetEnvironmentRef(ctx context.Context, m towpath.RefMove) error
}

// Config says how the service works.
type Config struct {
	Now func() time.Time
	Log *slog.Logger
	// Claimable is called after a commit that made plan operations of a place
	// claimable; it must not block.
	Claimable func(towpath.PlaceName)
	// PlanTimeout is how long a preview waits for an agent; default 20 s.
	PlanTimeout time.Duration
	// Changed returns a channel that is closed at the next change; previews wait
	// on it.
	Changed func() <-chan struct{}
	// QueryProblem says what is wrong with a query of a metric; empty: nothing.
	// Without it none is looked at.
	QueryProblem func(query string) string
}

// Service is the use case.
type Service struct {
	cfg      Config
	store    Store
	contents Contents
	said     Statements
	signer   Signer
	attestor Attestor
	repos    Repositories
}

// New makes the service.
func New(cfg Config, store Store, contents Contents, said Statements, signer Signer, attestor Attestor, repos Repositories) *Service {
	if cfg.Claimable == nil {
		cfg.Claimable = func(towpath.PlaceName) {}
	}
	if cfg.QueryProblem == nil {
		cfg.QueryProblem = func(string) string { return "" }
	}
	if cfg.PlanTimeout <= 0 {
		cfg.PlanTimeout = 20 * time.Second
	}
	return &Service{cfg: cfg, store: store, contents: contents, said: said, signer: signer, attestor: attestor, repos: repos}
}

func event(p towpath.Promotion, actor towpath.Actor, action string, now time.Time) towpath.Event {
	ev := towpath.NewEvent(now, string(actor.Account), action)
	ev.Project, ev.Environment, ev.Subject, ev.Release = p.Project, p.Environment, string(p.ID), p.Release
	ev.RequestID = actor.RequestID
	return ev
}

func environmentKey(p towpath.ProjectName, e towpath.EnvironmentName) string {
	return string(p) + "/" + string(e)
}
