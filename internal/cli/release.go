package cli

import "github.com/spf13/cobra"

func newRelease(s *session) *cobra.Command {
	return s.group("release", "Make, inspect and compare releases",
		newReleaseBuild(s), newReleaseList(s), newReleaseShow(s), newReleaseDiff(s), newReleaseVerify(s), newReleaseCollect(s),
		newReleaseExport(s), newReleaseImport(s), newReleaseCopy(s))
}
