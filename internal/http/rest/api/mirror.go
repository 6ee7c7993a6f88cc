package api

import "github.com/towpath/towpath/internal/towpath"

// PutMirrorSources says from which registries a project's images are mirrored.
type PutMirrorSources struct {
	Sources []towpath.MirrorSource `json:"sources" doc:"hosts, or hosts with the beginning of a path: docker.io, ghcr.io/acme; replaces those that are set"`
}
