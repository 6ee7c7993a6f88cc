package api

import (
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// RegisterProject registers a project.
type RegisterProject struct {
	Name       towpath.ProjectName `json:"name" minLength:"1" maxLength:"63" doc:"lower-case DNS label"`
	Repository string              `json:"repository,omitempty" doc:"a path that the server can read; empty: no branches, no authors"`
}

// PublishRelease publishes what a builder made. Blobs are uploaded before.
type PublishRelease struct {
	Manifest   []byte           `json:"manifest" doc:"canonical bytes of the OCI manifest; the release's digest is theirs"`
	Provenance []byte           `json:"provenance" doc:"in-toto statement"`
	Commit     towpath.CommitID `json:"commit" doc:"full git object name"`
	Ref        string           `json:"ref,omitempty" doc:"the branch or tag that was built"`
	Version    string           `json:"version" doc:"semver label; once published it never moves"`
	Evidence   []towpath.Digest `json:"evidence,omitempty" maxItems:"64" doc:"digests of manifests that are attached to the release; uploaded before, with what they name"`
}

// Collect gives up the files of releases that retention does not keep.
type Collect struct {
	DryRun bool `json:"dryRun,omitempty" doc:"say what would be given up, do nothing"`
}

// Reason says why.
type Reason struct {
	Reason string `json:"reason,omitempty" maxLength:"2000" doc:"kept in the ledger"`
}

// OpenEnvironment says which rules were seen.
type OpenEnvironment struct {
	PolicyVersion towpath.Digest `json:"policyVersion" doc:"of what status shows as proposed: others are refused"`
}

// RevokeKey says why a key is revoked, and where.
type RevokeKey struct {
	Reason     string `json:"reason,omitempty" maxLength:"2000" doc:"kept in the ledger"`
	Everywhere bool   `json:"everywhere,omitempty" doc:"in every project, under every name that it has, for ever; it takes an admin of everything"`
}

// Material names something that releases are made with.
type Material struct {
	Material string `json:"material" minLength:"1" maxLength:"500" doc:"a digest (sha256:…), a package URL (without a version: all), or the name of a pin"`
	Reason   string `json:"reason,omitempty" maxLength:"2000" doc:"kept in the ledger"`
}

// Promote asks for a release to be moved into an environment.
type Promote struct {
	Release     string                  `json:"release" minLength:"1" doc:"digest, version, candidate, commit, or an unambiguous prefix of one"`
	Environment towpath.EnvironmentName `json:"environment" minLength:"1"`
}

// Rollback asks an environment to go back.
type Rollback struct {
	To     string `json:"to,omitempty" doc:"a release; empty: the last good one before what runs"`
	Reason string `json:"reason,omitempty" maxLength:"2000"`
	DryRun bool   `json:"dryRun,omitempty" doc:"say what would be done, do nothing"`
}

// Repair asks for what differs from what was deployed to be replaced.
type Repair struct {
	Component towpath.ComponentName `json:"component,omitempty" maxLength:"63" doc:"empty: every one that has drifted"`
	Reason    string                `json:"reason,omitempty" maxLength:"2000" doc:"kept in the ledger"`
	Force     bool                  `json:"force,omitempty" doc:"also what has not drifted"`
}

// TrustKey asks for the signatures of a key to be believed.
type TrustKey struct {
	Name        towpath.KeyName         `json:"name" minLength:"1" maxLength:"63" doc:"lower-case DNS label, never used twice: builder-2026"`
	PublicKey   string                  `json:"publicKey" minLength:"1" maxLength:"10000" doc:"PEM: cosign.pub, or the identity that towpath trust add makes of --issuer, --subject and --authority"`
	Project     towpath.ProjectName     `json:"project,omitempty" doc:"empty: in every project"`
	Environment towpath.EnvironmentName `json:"environment,omitempty" doc:"empty: in every environment"`
	Types       []towpath.EvidenceType  `json:"types,omitempty" maxItems:"20" doc:"what it may sign: signature, provenance, sbom, promotion, or predicate types; absent: the first three"`
	NotBefore   time.Time               `json:"notBefore,omitzero" doc:"signatures that the ledger took before don't count"`
	NotAfter    time.Time               `json:"notAfter,omitzero" doc:"nor those that it takes from then on"`
}

// ExpireKey says until when a key is good.
type ExpireKey struct {
	At time.Time `json:"at"`
}

// PostFreeze stops promotions.
type PostFreeze struct {
	Project     towpath.ProjectName     `json:"project,omitempty" doc:"empty with emergency: all projects"`
	Environment towpath.EnvironmentName `json:"environment,omitempty" doc:"empty: all environments"`
	Reason      string                  `json:"reason" minLength:"1" maxLength:"2000"`
	From        time.Time               `json:"from,omitzero" doc:"absent: now"`
	Until       time.Time               `json:"until,omitzero" doc:"absent: until lifted"`
	Emergency   bool                    `json:"emergency,omitempty"`
}

// PostCheck posts the status of an external check.
type PostCheck struct {
	Release     string                  `json:"release" minLength:"1" doc:"as in Promote"`
	Environment towpath.EnvironmentName `json:"environment,omitempty"`
	Key         string                  `json:"key" minLength:"1" maxLength:"100"`
	State       towpath.CheckState      `json:"state" enum:"pending,success,failure,error"`
	URL         string                  `json:"url,omitempty" maxLength:"2000"`
	Description string                  `json:"description,omitempty" maxLength:"2000"`
}

// Resolve decides an operation whose outcome nobody could tell.
type Resolve struct {
	Again  bool   `json:"again" doc:"true: run it again; false: withdraw it"`
	Reason string `json:"reason,omitempty" maxLength:"2000"`
}

// CreateAccount makes an account.
type CreateAccount struct {
	Name   towpath.AccountName `json:"name" minLength:"1" maxLength:"63"`
	Emails []string            `json:"emails,omitempty" doc:"verified commit identities"`
}

// AddIdentity maps a commit identity to an account.
type AddIdentity struct {
	Email string `json:"email" minLength:"3" maxLength:"320"`
}

// CreateToken asks for a token.
type CreateToken struct {
	Account    towpath.AccountName `json:"account,omitempty" doc:"empty: your own"`
	Name       string              `json:"name" minLength:"1" maxLength:"100"`
	TTLSeconds int64               `json:"ttlSeconds,omitempty" minimum:"0" doc:"0: 90 days; one that no admin makes ends with the token that it is made with, at the latest"`
}

// VerifyLedger asks for the ledger to be verified.
type VerifyLedger struct {
	Trusted string `json:"trusted,omitempty" maxLength:"10000" doc:"a signed checkpoint that the client kept"`
}
