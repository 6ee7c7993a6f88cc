package api

import "github.com/towpath/towpath/internal/towpath"

// TrustedKeys are keys whose signatures are believed, by name.
type TrustedKeys struct {
	Items []towpath.TrustedKey `json:"items"`
}

// QuarantinedMaterials are materials with which no release may be made.
type QuarantinedMaterials struct {
	Items []towpath.MaterialQuarantine `json:"items"`
}
