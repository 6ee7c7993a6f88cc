package evidence

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// URI is the predicate type of a type of evidence: of a short name what it is
// short for, and of a URI itself.
func URI(t towpath.EvidenceType) string {
	switch t {
	case towpath.EvidenceSignature:
		return TypeSignature
	case towpath.EvidenceProvenance:
		return TypeProvenance
	case towpath.EvidenceSBOM:
		return TypeSBOM
	case towpath.EvidencePromotion:
		return TypePromotion
	case towpath.EvidenceScan:
		return TypeScan
	}
	return string(t)
}

// TypeOf is the short name of a predicate type, or itself when it has none.
func TypeOf(uri string) towpath.EvidenceType {
	for _, t := range towpath.EvidenceTypes() {
		if URI(t) == uri {
			return t
		}
	}
	return towpath.EvidenceType(uri)
}

// ReadProvenance reads from a SLSA provenance (https://slsa.dev/provenance/v1)
// where something comes from: builder, and the source among the resolved
// dependencies, which builders other than ours name the same way. The commit of
// the source is the first dependency that is a commit.
func ReadProvenance(predicate json.RawMessage) (*towpath.ProvenanceFacts, error) {
	var p struct {
		BuildDefinition struct {
			ExternalParameters struct {
				Repository string `json:"repository"`
				Ref        string `json:"ref"`
			} `json:"externalParameters"`
			ResolvedDependencies []struct {
				Name   string            `json:"name"`
				URI    string            `json:"uri"`
				Digest map[string]string `json:"digest"`
			} `json:"resolvedDependencies"`
		} `json:"buildDefinition"`
		RunDetails struct {
			Builder struct {
				ID string `json:"id"`
			} `json:"builder"`
		} `json:"runDetails"`
	}
	if err := json.Unmarshal(predicate, &p); err != nil || p.RunDetails.Builder.ID == "" {
		return nil, towpath.E(towpath.KindInvalid, "evidence.provenance", "the predicate is no SLSA provenance").WithCause(err)
	}
	asked := p.BuildDefinition.ExternalParameters
	facts := &towpath.ProvenanceFacts{Builder: p.RunDetails.Builder.ID}
	for _, d := range p.BuildDefinition.ResolvedDependencies {
		commit := d.Digest["gitCommit"]
		if commit == "" && d.Name == "source" {
			commit = d.Digest["sha256"] // of a repository that names its objects so
		}
		if commit == "" {
			continue
		}
		facts.Commit = towpath.CommitID(commit)
		var err error
		if facts.Repository, facts.Ref, err = source(d.URI, asked.Repository, asked.Ref); err != nil {
			return nil, err
		}
		break
	}
	facts.Repository, facts.Ref = cmp.Or(facts.Repository, asked.Repository), cmp.Or(facts.Ref, asked.Ref)
	return facts, nil
}

// ReadSBOM reads what a CycloneDX bill of materials says about itself.
func ReadSBOM(predicate json.RawMessage) (*towpath.SBOMFacts, error) {
	var b struct {
		Format       string            `json:"bomFormat"`
		Version      string            `json:"specVersion"`
		Components   []json.RawMessage `json:"components"`
		Compositions []struct {
			Aggregate string `json:"aggregate"`
		} `json:"compositions"`
	}
	if err := json.Unmarshal(predicate, &b); err != nil || b.Format != "CycloneDX" {
		return nil, towpath.E(towpath.KindInvalid, "evidence.sbom", "the predicate is no CycloneDX bill of materials").WithCause(err)
	}
	facts := &towpath.SBOMFacts{Format: strings.TrimSpace("CycloneDX " + short(b.Version)), Components: len(b.Components)}
	for _, c := range b.Compositions {
		facts.Incomplete = facts.Incomplete || strings.HasPrefix(c.Aggregate, "incomplete")
	}
	return facts, nil
}
