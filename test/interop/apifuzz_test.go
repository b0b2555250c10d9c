package interop_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/hub"
)

// TestDocuments has Schemathesis hold both APIs to their OpenAPI documents: no server
// error, no answer that its document does not describe, nothing that fails to ask for a
// credential. Left out is the check that whatever the schema allows is taken, since rules
// such as "the hub is linked" are in no schema, and for the service API that
// nothing else is: it takes more than its document says, as the original does.
func TestDocuments(t *testing.T) {
	st := filepath.Join(filepath.Dir(pythonWith(t, "python/schemathesis.txt")), "st")
	binary := build(t)
	r, file := startDev(t, binary, "127.0.0.93", 443)
	run(t, exec.CommandContext(t.Context(), binary, "scope", "create", fuzzedScope, "--ready-file", file))
	known := filepath.Join(t.TempDir(), "schemathesis.toml")
	if err := os.WriteFile(known, []byte(knownParameters), 0o600); err != nil {
		t.Fatal(err)
	}
	service := []string{
		"--url", "https://127.0.0.93", "--header", "Authorization: " + sasToken(t, r.ServiceConnectionString),
		"--exclude-checks", "positive_data_acceptance,negative_data_rejection",
	}
	operator := []string{
		"--url", r.Admin.URL, "--header", "Authorization: Bearer " + r.Admin.Token,
		"--exclude-checks", "positive_data_acceptance",
		// It answers for as long as somebody follows; tests of adminapi try its parameters.
		"--exclude-operation-id", "streamEvents",
	}
	for _, tt := range []struct {
		name, document string
		global, args   []string
	}{
		{"service", "service.yaml", nil, service},
		{"operator", "admin.yaml", nil, operator},
		// Most of what is made up meets a scope that does not exist. Known IDs leave nothing
		// for the stateful phase to follow.
		{
			"operator in a scope", "admin.yaml",
			[]string{"--config-file", known},
			append(operator, "--exclude-operation-id", "deleteScope", "--phases", "coverage,fuzzing"),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append(tt.global, "run", filepath.Join("../../openapi", tt.document), "--tls-verify", r.CAFile,
				"--seed", "1", "--max-examples", "20", "--checks", "all", "--continue-on-failure", "--no-color")
			schemathesis(t, st, append(args, tt.args...))
		})
	}
}

const (
	fuzzedScope     = "0neF00F00F0"
	knownParameters = `[parameters]
"path.idScope" = "` + fuzzedScope + `"
"path.registrationId" = "fuzzed-device"
"path.enrollmentGroupId" = "fuzzed-group"
`
)

func schemathesis(t *testing.T, st string, args []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, st, args...).CombinedOutput()
	t.Log(tail(string(out)))
	if err != nil {
		t.Fatal(err)
	}
}

// sasToken signs as the service SDKs do.
func sasToken(t *testing.T, connectionString string) string {
	t.Helper()
	c, err := hub.ParseConnectionString(dps.NewSecret(connectionString))
	if err != nil {
		t.Fatal(err)
	}
	return attestation.SignToken(c.HostName, c.SharedAccessKeyName, c.Key(), time.Now().Add(time.Hour))
}
