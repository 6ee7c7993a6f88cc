package agentrpc

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/towpath/towpath/internal/towpath"
)

// authorisationHeader is the first line of what is signed. The ledger's key
// signs checkpoints too; without it one could be passed off as the other.
const authorisationHeader = "towpath.authorisation/v1"

// maxAuthorisation bounds what Verify reads, in bytes.
const maxAuthorisation = 512 << 10

// Authorisation is the record of what was approved: the server signs it with
// the ledger's key, the agent checks it with its own trust root. It covers
// every operation of one deployment.
type Authorisation struct {
	Kind          towpath.DeploymentKind  `json:"kind"`
	Project       towpath.ProjectName     `json:"project"`
	Environment   towpath.EnvironmentName `json:"environment"`
	Deployment    towpath.DeploymentID    `json:"deployment"`
	Candidate     towpath.CandidateID     `json:"candidate,omitempty"`
	Release       towpath.Digest          `json:"release"`
	Previous      towpath.Digest          `json:"previous,omitempty"` // what the deployment may be reverted to
	Earlier       []towpath.Digest        `json:"earlier,omitempty"`  // and components that Previous had not changed
	PlanHash      towpath.Digest          `json:"planHash,omitempty"`
	Changes       []towpath.PlannedChange `json:"changes,omitempty"` // what PlanHash is made of, on Previous
	PolicyVersion towpath.Digest          `json:"policyVersion,omitempty"`
	Approvers     []towpath.AccountName   `json:"approvers,omitempty"`
	Commit        towpath.CommitID        `json:"commit,omitempty"`     // of Candidate
	Rules         *towpath.GateRules      `json:"rules,omitempty"`      // that ask for evidence, as they were in force
	Evidence      []towpath.Evidence      `json:"evidence,omitempty"`   // what the gates relied on, to be verified again
	Signatures    []towpath.Digest        `json:"signatures,omitempty"` // bundles of all signatures over Release
	At            time.Time               `json:"at"`
}

// Sign returns the signed note of a.
func (a Authorisation) Sign(signer note.Signer) (string, error) {
	b, err := json.Marshal(a)
	if err != nil {
		return "", towpath.E(towpath.KindInternal, "authorisation.sign", "the authorisation can't be encoded").
			On(string(a.Deployment)).WithCause(err)
	}
	signed, err := note.Sign(&note.Note{Text: authorisationHeader + "\n" + string(b) + "\n"}, signer)
	if err != nil {
		return "", towpath.E(towpath.KindInternal, "authorisation.sign", "the authorisation can't be signed").
			On(string(a.Deployment)).WithCause(err)
	}
	return string(signed), nil
}

// VerifyAuthorisation opens a signed note. Its error is forbidden unless a key
// of the verifiers signed exactly these bytes as an authorisation.
func VerifyAuthorisation(signed string, keys ...note.Verifier) (Authorisation, error) {
	const op = "authorisation.verify"
	if len(signed) > maxAuthorisation {
		return Authorisation{}, towpath.E(towpath.KindForbidden, op, "the authorisation is longer than %d bytes", maxAuthorisation)
	}
	n, err := note.Open([]byte(signed), note.VerifierList(keys...))
	if err != nil {
		e := towpath.E(towpath.KindForbidden, op, "the authorisation is not a signed note").WithCause(err)
		if unverified := new(note.UnverifiedNoteError); errors.As(err, &unverified) {
			e.Message = "the authorisation is not signed by the server that this agent trusts"
			_ = e.WithHint("if the server's key was replaced, give the agent the new one")
		}
		return Authorisation{}, e
	}
	body, ok := strings.CutPrefix(n.Text, authorisationHeader+"\n")
	if !ok {
		return Authorisation{}, towpath.E(towpath.KindForbidden, op, "the signed note is no authorisation")
	}
	var a Authorisation
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		return Authorisation{}, towpath.E(towpath.KindForbidden, op, "the authorisation can't be read").WithCause(err)
	}
	return a, nil
}

// ReadAuthorisation reads a signed note that nobody but its reader has kept: it
// does not ask whose the signature is. ok is false for what is none.
func ReadAuthorisation(signed string) (a Authorisation, ok bool) {
	header, rest, _ := strings.Cut(signed, "\n")
	body, _, ends := strings.Cut(rest, "\n")
	if header != authorisationHeader || !ends {
		return Authorisation{}, false
	}
	ok = json.Unmarshal([]byte(body), &a) == nil
	return a, ok
}
