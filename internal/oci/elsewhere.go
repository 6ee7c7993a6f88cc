package oci

import "strings"

// foreignDockerType is the type that Docker gives a layer that need not be there.
const foreignDockerType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

// Elsewhere reports whether a registry takes a manifest without the layers of a
// media type, as it takes images whose licence lets nobody but their maker give them
// out (OCI image 1.1, "Non-Distributable Layers"): nobody has looked whether such a
// layer is there, nor how large it is.
func Elsewhere(mediaType string) bool {
	return strings.Contains(mediaType, "nondistributable") || mediaType == foreignDockerType
}
