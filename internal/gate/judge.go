package gate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Input is everything that the gates judge: the request, the rules in force
// and the evidence.
type Input struct {
	Now       time.Time
	Promotion towpath.Promotion
	// Environment is the target with the rules in force. Gates compute the
	// policy version from the rules themselves.
	Environment towpath.Environment
	Candidate   towpath.Candidate
	Released    time.Time           // when the candidate's release was first published, as whatever version
	Quarantine  *towpath.Quarantine // of the candidate's release
	// Upstream is the stays of the candidate in the environment that the rules
	// name as `from`; stays of others and elsewhere are left out of account.
	Upstream  []towpath.Run
	Freezes   []towpath.Freeze
	Approvals []towpath.Approval
	// Authors are the authors and committers of every commit that the candidate
	// has and the environment does not run; at least of the candidate's own
	// commit, unless the environment runs that. None at all means unknown.
	Authors []Author
	Plan    *towpath.Plan
	// Lost is what the server should have of the candidate's release to deploy it,
	// and has not.
	Lost   []towpath.LostPart
	Checks []towpath.Check
	// Requires is what the candidate's release needs to find, and Running what
	// there is in the environment of that name.
	Requires []towpath.Requirement
	Running  []Running
	// Foreign are commits on the environment's branch that the candidate lacks,
	// less those that Towpath or the forge made and Towpath recorded.
	Foreign []towpath.CommitAuthor
	// Attestations are the statements attached to the candidate's release, each
	// with what its verification under the environment's trusted keys said.
	Attestations []towpath.Attestation
	// Replications are the copies of the candidate's release, and Place the rule
	// that copies it to where the project's releases live; empty: they live here.
	Replications []towpath.Replication
	Place        towpath.ReplicationName
	// Rules are the project's rules that copy releases, by name.
	Rules []towpath.ReplicationName
	// Images are what the candidate's release takes from registries outside, and
	// Mirror says from which of these images are mirrored.
	Images towpath.ReleaseImages
	Mirror towpath.MirrorRule
	// Reviews are what people said of this candidate in other environments.
	Reviews []towpath.Approval
	// Errors says of a gate why its evidence could not be gathered. Such a gate
	// waits, whatever the rest says.
	Errors map[towpath.GateName]Unknown
}

// Unknown is why the evidence of a gate could not be gathered, for people.
type Unknown struct {
	Why   string // part of a sentence
	Helps string // what to do; empty: nothing, it is tried again by itself
}

// Author is a person or machine behind a commit.
type Author struct {
	Commit  towpath.CommitID    `json:"commit"`
	Email   string              `json:"email"`
	Subject string              `json:"subject,omitempty"` // first line of the commit's message
	Account towpath.AccountName `json:"account,omitempty"` // empty: nobody has this email as verified identity
}

// Running is a version that runs in the environment of the same name of some
// project.
type Running struct {
	Project   towpath.ProjectName   `json:"project"`
	Component towpath.ComponentName `json:"component,omitempty"`
	Version   string                `json:"version"`
}

// judge is one gate.
type judge func(Input) finding

// finding is a verdict before it is put into its record.
type finding struct {
	outcome towpath.Outcome
	reasons []string
	hint    string
	until   time.Time
	inputs  map[string]any
}

// Gates lists the gates in the order of their verdicts: what can never pass
// first, what people do last.
func Gates() []towpath.GateName {
	return []towpath.GateName{
		towpath.GateQuarantine, towpath.GateUpstream, towpath.GateSoak, towpath.GateBranch,
		towpath.GateAge, towpath.GateSigned, towpath.GateProvenance, towpath.GateSBOM, towpath.GateScan,
		towpath.GateReplicated, towpath.GateMirrored, towpath.GateCompatibility, towpath.GateChecks, towpath.GatePlan, towpath.GateApprovals,
		towpath.GateWindows, towpath.GateHold,
	}
}

func judges() map[towpath.GateName]judge {
	return map[towpath.GateName]judge{
		towpath.GateQuarantine:    quarantine,
		towpath.GateUpstream:      upstream,
		towpath.GateSoak:          soak,
		towpath.GateBranch:        branch,
		towpath.GateAge:           age,
		towpath.GateReplicated:    replicated,
		towpath.GateMirrored:      mirrored,
		towpath.GateSigned:        signed,
		towpath.GateProvenance:    provenance,
		towpath.GateSBOM:          sbom,
		towpath.GateScan:          scan,
		towpath.GateCompatibility: compatibility,
		towpath.GateChecks:        checks,
		towpath.GatePlan:          plan,
		towpath.GateApprovals:     approvals,
		towpath.GateWindows:       windows,
		towpath.GateHold:          hold,
	}
}

// Judge asks every gate and returns their verdicts in the order of [Gates].
// Equal input, in any order of its lists, gives equal verdicts.
func Judge(in Input) []towpath.Verdict {
	all := judges()
	out := make([]towpath.Verdict, 0, len(all))
	for _, name := range Gates() {
		f := all[name](in)
		if unknown, errs := in.Errors[name]; errs {
			f.outcome, f.until = towpath.Wait, time.Time{}
			f.reasons = []string{"What this gate needs to know could not be found out: " + unknown.Why + "."}
			f.hint = cmp.Or(unknown.Helps, "it is tried again by itself")
			f.inputs["error"] = unknown.Why
		}
		out = append(out, towpath.Verdict{
			Gate: name, Outcome: f.outcome, Reasons: f.reasons, Hint: f.hint,
			Inputs: canonical(f.inputs), Until: f.until, At: in.Now,
		})
	}
	return out
}

// Summarise is the outcome of all verdicts together: one that denies denies,
// else one that waits waits. No verdicts at all are no evidence: Wait.
func Summarise(verdicts []towpath.Verdict) towpath.Outcome {
	out := towpath.Allow
	if len(verdicts) == 0 {
		return towpath.Wait
	}
	for _, v := range verdicts {
		switch v.Outcome {
		case towpath.Allow:
		case towpath.Deny:
			return towpath.Deny
		default:
			out = towpath.Wait
		}
	}
	return out
}

// PolicyVersion names the rules of an environment, without the settings of its
// components: the digest of their canonical JSON.
func PolicyVersion(rules towpath.EnvironmentSpec) towpath.Digest {
	return towpath.DigestOf(canonical(rules.Rules()))
}

// canonical is JSON with sorted keys, so that neither the order of a struct's
// fields nor that of a map shows in a digest.
func canonical(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("gate: nouns encode as JSON: %v", err)) // strings, numbers and times of our own
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var generic any
	if err := d.Decode(&generic); err != nil {
		panic(fmt.Sprintf("gate: JSON just written decodes: %v", err))
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(generic); err != nil {
		panic(fmt.Sprintf("gate: decoded JSON encodes: %v", err))
	}
	return json.RawMessage(bytes.TrimRight(out.Bytes(), "\n"))
}

func allow(inputs map[string]any, reasons ...string) finding {
	return finding{outcome: towpath.Allow, reasons: reasons, inputs: inputs}
}

func wait(inputs map[string]any, hint string, reasons ...string) finding {
	return finding{outcome: towpath.Wait, reasons: reasons, hint: hint, inputs: inputs}
}

func deny(inputs map[string]any, hint string, reasons ...string) finding {
	return finding{outcome: towpath.Deny, reasons: reasons, hint: hint, inputs: inputs}
}
