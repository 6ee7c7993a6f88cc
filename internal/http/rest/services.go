package rest

import (
	"context"
	"io"
	"time"

	"github.com/towpath/towpath/internal/account"
	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/trust"
)

// Services are the use cases behind the API. They authorise; the handlers do
// not.
type Services struct {
	Projects    Projects
	Releases    Releases
	Promotions  Promotions
	Deploys     Deploys
	Inventory   Inventory
	Accounts    Accounts
	Audit       Audit
	Registry    Registry
	Replication Replication
	Mirror      Mirror
	Trust       Trust
}

// Projects registers projects.
type Projects interface {
	Register(ctx context.Context, actor towpath.Actor, name towpath.ProjectName, repository string) (towpath.Project, error)
	List(ctx context.Context, actor towpath.Actor) ([]towpath.Project, error)
}

// Releases publishes and reads releases.
type Releases interface {
	HasBlob(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, d towpath.Digest) (int64, error) // size in bytes; not-found
	PutBlob(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, d towpath.Digest, body io.Reader) error
	Publish(ctx context.Context, actor towpath.Actor, r release.PublishRequest) (release.Published, error)
	List(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, page release.Page) (release.List, error)
	Get(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, name string) (towpath.Release, error)
	Provenance(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, name string) (towpath.Candidate, []byte, error) // bytes as published
	Diff(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, a, b string, env towpath.EnvironmentName) (release.Diff, error)
	Collect(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, dryRun bool) (release.Collected, error)
	Quarantine(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, name, reason string) (towpath.Release, error)
	Unquarantine(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, name, reason string) (towpath.Release, error)
	QuarantineMaterial(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, material, reason string) (towpath.MaterialQuarantine, error)
	AffectedByMaterial(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, material string) (towpath.Affected, error)
	UnquarantineMaterial(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, material, reason string) error
	QuarantinedMaterials(ctx context.Context, actor towpath.Actor, p towpath.ProjectName) ([]towpath.MaterialQuarantine, error)
}

// Promotions moves releases upstream.
type Promotions interface {
	Preview(ctx context.Context, actor towpath.Actor, r promote.Request) (promote.Preview, error)
	Evidence(ctx context.Context, actor towpath.Actor, r promote.Request) (promote.Preview, error)
	Request(ctx context.Context, actor towpath.Actor, r promote.Request) (towpath.Promotion, error)
	Get(ctx context.Context, actor towpath.Actor, id towpath.PromotionID) (towpath.Promotion, error)
	List(ctx context.Context, actor towpath.Actor, f promote.Filter) (promote.List, error)
	Approve(ctx context.Context, actor towpath.Actor, id towpath.PromotionID, approve bool, reason string) (towpath.Promotion, error)
	Cancel(ctx context.Context, actor towpath.Actor, id towpath.PromotionID, reason string) (towpath.Promotion, error)
	// StopExperiment and PromoteExperiment end the experiment of an environment.
	StopExperiment(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName, reason string) (towpath.Promotion, error)
	PromoteExperiment(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName, of towpath.DeploymentID) (towpath.Promotion, error)
	Hold(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName, reason string) error
	Open(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName, seen towpath.Digest) error
	Unhold(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName, reason string) error
	Freeze(ctx context.Context, actor towpath.Actor, r promote.FreezeRequest) (towpath.Freeze, error)
	Unfreeze(ctx context.Context, actor towpath.Actor, id towpath.FreezeID, reason string) error
	Freezes(ctx context.Context, actor towpath.Actor, p towpath.ProjectName) ([]towpath.Freeze, error)
	PostCheck(ctx context.Context, actor towpath.Actor, r promote.CheckRequest) (towpath.Check, error)
}

// Deploys rolls back and reads deployments.
type Deploys interface {
	Rollback(ctx context.Context, actor towpath.Actor, r deploy.RollbackRequest) (deploy.RollbackResult, error)
	Get(ctx context.Context, actor towpath.Actor, id towpath.DeploymentID) (towpath.Deployment, error)
	List(ctx context.Context, actor towpath.Actor, f deploy.Filter) (deploy.List, error)
	// Alerts takes back what was just deployed for alerts that ask for it.
	Alerts(ctx context.Context, actor towpath.Actor, alerts []towpath.Alert) (deploy.AlertReport, error)
	// Repair replaces what has drifted by the same again.
	Repair(ctx context.Context, actor towpath.Actor, r deploy.RepairRequest) (towpath.Deployment, error)
	// Steer pauses a rollout or lets it go on; Analysis judges it again.
	Steer(ctx context.Context, actor towpath.Actor, r deploy.SteerRequest) (towpath.Deployment, error)
	Analysis(ctx context.Context, actor towpath.Actor, id towpath.DeploymentID, c towpath.ComponentName) (analysis.Judgement, error)
	// ExperimentOf and Experiments read experiments with their reports; Winner is
	// the last one, if it says that the new release is better.
	ExperimentOf(ctx context.Context, actor towpath.Actor, id towpath.DeploymentID) (deploy.ExperimentRecord, error)
	Experiments(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName, limit int) (deploy.ExperimentList, error)
	Winner(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName) (deploy.Experiment, error)
	// Verify runs the verification jobs of what an environment runs again.
	Verify(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName) (deploy.Verification, error)
	Verification(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName, id towpath.PromotionID) (deploy.Verification, error)
	// Resolve decides an operation whose outcome nobody could tell: run it
	// again, or withdraw it.
	Resolve(ctx context.Context, actor towpath.Actor, id towpath.OperationID, again bool, reason string) error
}

// Inventory says what runs where.
type Inventory interface {
	Status(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName) ([]inventory.Status, error)   // e empty: all, upstream order
	Drift(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName) (inventory.DriftReport, error) // likewise
}

// Accounts manages accounts and tokens and authenticates requests.
type Accounts interface {
	Authenticate(ctx context.Context, secret string) (towpath.Actor, error)
	Create(ctx context.Context, actor towpath.Actor, name towpath.AccountName, emails []string) (towpath.Account, error)
	List(ctx context.Context, actor towpath.Actor) ([]towpath.Account, error)
	AddIdentity(ctx context.Context, actor towpath.Actor, name towpath.AccountName, email string) (towpath.Account, error)
	Grant(ctx context.Context, actor towpath.Actor, name towpath.AccountName, g towpath.Grant) (towpath.Account, error)
	Revoke(ctx context.Context, actor towpath.Actor, name towpath.AccountName, g towpath.Grant) (towpath.Account, error)
	CreateToken(ctx context.Context, actor towpath.Actor, r account.TokenRequest) (account.NewToken, error)
	Tokens(ctx context.Context, actor towpath.Actor, name towpath.AccountName) ([]towpath.Token, error)
	RevokeToken(ctx context.Context, actor towpath.Actor, id towpath.TokenID) error
}

// Trust manages trusted keys and verifies what is attached to releases.
type Trust interface {
	Add(ctx context.Context, actor towpath.Actor, r trust.AddRequest) (towpath.TrustedKey, error)
	List(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName) ([]towpath.TrustedKey, error)
	Expire(ctx context.Context, actor towpath.Actor, name towpath.KeyName, at time.Time) (towpath.TrustedKey, error)
	Revoke(ctx context.Context, actor towpath.Actor, name towpath.KeyName, reason string, everywhere bool) (towpath.TrustedKey, error)
	Affected(ctx context.Context, actor towpath.Actor, name towpath.KeyName) (towpath.Affected, error)
	Evidence(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, name string, e towpath.EnvironmentName) (trust.Evidence, error)
}

// Audit reads and verifies the ledger. Its types are the ledger's.
type Audit interface {
	Events(ctx context.Context, actor towpath.Actor, f ledger.Filter) ([]ledger.Entry, error)
	Verify(ctx context.Context, actor towpath.Actor, trusted string) (ledger.Report, error) // trusted: a checkpoint that the client kept; may be empty
	Checkpoint(ctx context.Context, actor towpath.Actor) (checkpoint, publicKey string, err error)
	Export(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, w io.Writer) error
}
