package api

import "github.com/towpath/towpath/internal/towpath"

// TrustedKeys are keys whose signatures are believed, by name.
type TrustedKeys struct {
	Items []towpath.TrustedKey `json:"items"`
}

// QuarantinedMaterial is a material with which no release may be made, and what
// that reaches.
type QuarantinedMaterial struct {
	towpath.MaterialQuarantine
	Affected towpath.Affected `json:"affected" doc:"while looking is true: what was found so far"`
}

// RevokedKey is a key that was revoked, and what that reaches.
type RevokedKey struct {
	towpath.TrustedKey
	Affected towpath.Affected `json:"affected" doc:"while looking is true: what was found so far"`
}

// QuarantinedMaterials are materials with which no release may be made.
type QuarantinedMaterials struct {
	Items []towpath.MaterialQuarantine `json:"items"`
}
