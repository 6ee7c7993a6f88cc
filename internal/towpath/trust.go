package towpath

import "time"

// TrustedKey is a public key and what is believed of whoever has its private
// half, in one environment, in a project, or everywhere.
type TrustedKey struct {
	Name        KeyName         `json:"name"`                  // for people and rules: "builder-2026"
	ID          string          `json:"id"`                    // of the public key: what bundles name it by
	PublicKey   string          `json:"publicKey"`             // PEM
	Project     ProjectName     `json:"project,omitempty"`     // empty: every project
	Environment EnvironmentName `json:"environment,omitempty"` // empty: every environment
	// Types are what it may say: names of [EvidenceType]s, or predicate types.
	Types     []EvidenceType `json:"types"`
	NotBefore time.Time      `json:"notBefore,omitzero"` // signatures known since before this don't count
	NotAfter  time.Time      `json:"notAfter,omitzero"`  // the first instant that is too late
	AddedBy   AccountName    `json:"addedBy"`
	AddedAt   time.Time      `json:"addedAt"`
	Revoked   *KeyRevocation `json:"revoked,omitempty"`
	Rev       int64          `json:"-"` // optimistic lock
}

// KeyRevocation makes everything that a key ever signed worthless.
type KeyRevocation struct {
	Reason string      `json:"reason"`
	By     AccountName `json:"by"`
	At     time.Time   `json:"at"`
	// Everywhere: wherever the key is trusted, and nobody can trust it again.
	Everywhere bool `json:"everywhere,omitempty"`
}

// Overlaps reports whether two keys speak about some environment both.
func (k TrustedKey) Overlaps(other TrustedKey) bool {
	return (k.Project == "" || other.Project == "" || k.Project == other.Project) &&
		(k.Environment == "" || other.Environment == "" || k.Environment == other.Environment)
}

// EvidenceType is what a statement says, by a short name for the usual ones or
// by its predicate type, a URI.
type EvidenceType string

// The types of evidence that have a short name.
const (
	EvidenceSignature  EvidenceType = "signature"
	EvidenceProvenance EvidenceType = "provenance"
	EvidenceSBOM       EvidenceType = "sbom"
	EvidencePromotion  EvidenceType = "promotion"
	EvidenceScan       EvidenceType = "scan"
)

// EvidenceTypes lists the types that have a short name.
func EvidenceTypes() []EvidenceType {
	return []EvidenceType{EvidenceSignature, EvidenceProvenance, EvidenceSBOM, EvidenceScan, EvidencePromotion}
}

// Attestation is a signed statement that is attached to a release, and what
// its verification said.
type Attestation struct {
	Type     EvidenceType `json:"type"`
	Artifact Digest       `json:"artifact"` // the manifest that attaches it
	Bundle   Digest       `json:"bundle"`
	Recorded time.Time    `json:"recorded"` // when the ledger took this manifest
	// First is when the ledger first took what it says, in whichever bundle: whoever
	// may push can attach again what another signed. Of what was not verified it is
	// Recorded.
	First time.Time `json:"first"`
	// Payload is of the bytes that were signed, when they were verified.
	Payload Digest `json:"payload,omitempty"`
	KeyID   string `json:"keyId"` // that it names
	// Hand is the ID of the key that made the signature, when it was verified: that of
	// an identity's certificate, else KeyID.
	Hand string  `json:"hand,omitempty"`
	Key  KeyName `json:"key,omitempty"` // the trusted key that it was verified with
	// Refused says why it proves nothing, as a sentence, and Rule which rule it
	// broke; both are empty when it was verified.
	Refused string `json:"refused,omitempty"`
	Rule    string `json:"rule,omitempty"`
	// What it says; set for its type, and only when it was verified.
	Provenance *ProvenanceFacts `json:"provenance,omitempty"`
	SBOM       *SBOMFacts       `json:"sbom,omitempty"`
	Scan       *ScanFacts       `json:"scan,omitempty"`
	VEX        *VEXFacts        `json:"vex,omitempty"` // of [EvidenceScan] by who is no scanner
}

// Verified reports whether the statement proves what it says.
func (a Attestation) Verified() bool { return a.Refused == "" && a.Key != "" }

// Words are what somebody said: the bytes that a key signed, whatever bundles
// they came in. Bundles can be changed without breaking a signature.
type Words struct {
	Payload Digest
	KeyID   string
}

// Words are those of the statement.
func (a Attestation) Words() Words { return Words{a.Payload, a.KeyID} }

// ProvenanceFacts is what a SLSA provenance says about where a release comes
// from; what it leaves out is empty.
type ProvenanceFacts struct {
	Builder    string   `json:"builder"`
	Repository string   `json:"repository,omitempty"`
	Ref        string   `json:"ref,omitempty"` // a branch or tag, with or without refs/heads/
	Commit     CommitID `json:"commit,omitempty"`
}

// SBOMFacts is what a bill of materials says about itself.
type SBOMFacts struct {
	Format     string `json:"format"` // "CycloneDX 1.6"
	Components int    `json:"components"`
	Incomplete bool   `json:"incomplete,omitempty"` // it says that something is missing
}

// ScanFacts is what a scanner found in a release.
type ScanFacts struct {
	Tool     string        `json:"tool"`
	Made     time.Time     `json:"made,omitzero"`      // as the statement says
	Findings []ScanFinding `json:"findings,omitempty"` // the worst, worst first
	Total    int           `json:"total"`
	// Hidden counts the IDs that none of Findings has, each by the worst that was
	// found of it.
	Hidden map[Severity]int `json:"hidden,omitempty"`
}

// ScanFinding is one thing that a scanner found.
type ScanFinding struct {
	ID       string   `json:"id"` // "CVE-2026-1234"
	Severity Severity `json:"severity"`
	In       string   `json:"in,omitempty"`   // a package with its version, or a file
	PURL     string   `json:"purl,omitempty"` // the package URL of what it is in
	Ref      string   `json:"ref,omitempty"`  // what the report calls that which it is in, without a package URL
	// Elsewhere: it was found in more places, of which nothing is kept. In a statement
	// it means nothing.
	Elsewhere bool `json:"elsewhere,omitempty"`
}

// Severity is how bad a finding is.
type Severity string

// The severities, worst last. What nobody rated may be anything.
const (
	SeverityLow      Severity = "low"
	SeverityMedium   Severity = "medium"
	SeverityHigh     Severity = "high"
	SeverityCritical Severity = "critical"
	SeverityUnknown  Severity = "unknown"
)

// Severities lists those that a rule may name.
func Severities() []Severity {
	return []Severity{SeverityLow, SeverityMedium, SeverityHigh, SeverityCritical}
}

// Rank orders severities; one that is not known is the worst.
func (s Severity) Rank() int {
	for i, x := range Severities() {
		if x == s {
			return i + 1
		}
	}
	return len(Severities()) + 1
}

// ScanRule wants signed outcomes of scans that are fresh enough, without bad
// findings that nobody made an exception for.
type ScanRule struct {
	Keys       []KeyName       `json:"keys,omitempty"`
	Severity   Severity        `json:"severity"`         // findings as bad as this, and worse, count
	MaxAge     time.Duration   `json:"maxAge,omitempty"` // nanoseconds; of the newest report of each tool, by when it was made; 0: any
	Tools      []string        `json:"tools,omitempty"`  // each must have scanned it; empty: at least one
	Exceptions []ScanException `json:"exceptions,omitempty"`
}

// ScanException lets a release pass with a finding.
type ScanException struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
	Until  string `json:"until"` // the last day, "2027-01-31"
}

// SignedRule wants signatures over the release.
type SignedRule struct {
	Count int       `json:"count"`          // by that many different keys
	Keys  []KeyName `json:"keys,omitempty"` // whose; empty: of any trusted key that may sign
}

// ProvenanceRule wants a signed provenance that says where the release comes
// from. What is empty is not asked for.
type ProvenanceRule struct {
	Keys         []KeyName `json:"keys,omitempty"`
	Builders     []string  `json:"builders,omitempty"`     // IDs of builders
	Repositories []string  `json:"repositories,omitempty"` // as the provenance names them
	Branches     []string  `json:"branches,omitempty"`     // patterns: main, release/*
	Reviewed     bool      `json:"reviewed,omitempty"`     // somebody who is no author agreed to the candidate, anywhere
}

// SBOMRule wants a signed bill of materials.
type SBOMRule struct {
	Keys     []KeyName `json:"keys,omitempty"`
	Complete bool      `json:"complete,omitempty"` // it doesn't say that something is missing
}

// Evidence are those of the rules that ask for evidence; nil when none does.
func (g GateRules) Evidence() *GateRules {
	if len(g.EvidenceTypes()) == 0 {
		return nil
	}
	return &GateRules{Signed: g.Signed, Provenance: g.Provenance, SBOM: g.SBOM, Scan: g.Scan}
}

// EvidenceTypes lists the types of evidence that the rules ask for.
func (g GateRules) EvidenceTypes() []EvidenceType {
	var out []EvidenceType
	if g.Signed != nil {
		out = append(out, EvidenceSignature)
	}
	if g.Provenance != nil {
		out = append(out, EvidenceProvenance)
	}
	if g.SBOM != nil {
		out = append(out, EvidenceSBOM)
	}
	if g.Scan != nil {
		out = append(out, EvidenceScan)
	}
	return out
}
