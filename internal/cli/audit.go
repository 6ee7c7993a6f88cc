package cli

import "github.com/spf13/cobra"

func newAudit(s *session) *cobra.Command {
	return s.group("audit", "Read, verify and export the ledger", newAuditList(s), newAuditVerify(s), newAuditExport(s))
}
