package storagetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage"
)

// BenchmarkScope is the ID scope that benchmarks use; the caller creates it.
const BenchmarkScope = dps.IDScope("0neBENCH")

// Waiting runs call b.N times from so many goroutines and reports calls per second
// and the percentiles of their latency.
func Waiting(b *testing.B, waiting int, call func(i int) error) {
	b.Helper()
	var next atomic.Int64
	latencies := make([][]time.Duration, waiting)
	var group sync.WaitGroup
	b.ResetTimer()
	for g := range waiting {
		group.Go(func() {
			for i := int(next.Add(1)); i <= b.N; i = int(next.Add(1)) {
				start := time.Now() //nolint:forbidigo // a measurement
				if err := call(i); err != nil {
					b.Error(err)
					return
				}
				latencies[g] = append(latencies[g], time.Since(start)) //nolint:forbidigo // a measurement
			}
		})
	}
	group.Wait()
	b.StopTimer()
	all := slices.Concat(latencies...)
	slices.Sort(all)
	if len(all) > 0 {
		b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// Pair is one first registration as the store sees it: Begin and Finish, of a record
// as large as a real one. run tells repetitions apart.
func Pair(b *testing.B, s storage.Store, run string, i int) error {
	b.Helper()
	return Register(b, s, fmt.Sprintf("%s-%d", run, i))
}

// Register begins and finishes one registration; the scope need not exist.
func Register(tb testing.TB, s storage.Store, id string) error {
	tb.Helper()
	r := registrationOf(id)
	begun, err := s.Registrations().Begin(tb.Context(), registration.Start{Registration: r}, r.Updated)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if !begun.Won {
		return fmt.Errorf("begin of %q lost", id)
	}
	done := begun.Registration
	done.Assignment = registration.Assignment{
		Hub: done.Operation.Hub, DeviceID: done.Operation.Want.DeviceID, GenerationID: "638712345678901234", CredentialDigest: digest,
		Substatus: registration.InitialAssignment,
	}
	done.Operation.Status = registration.Assigned
	_, won, err := s.Registrations().Finish(tb.Context(), done, nil)
	if err != nil {
		return fmt.Errorf("finish: %w", err)
	}
	if !won {
		return fmt.Errorf("finish of %q lost", id)
	}
	return nil
}

const digest = "4f1a2b3c4d5e6f708192a3b4c5d6e7f84f1a2b3c4d5e6f708192a3b4c5d6e7f8"

func registrationOf(id string) registration.Registration {
	now := time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC)
	leaf := &attestation.CertificateInfo{
		Subject: "CN=" + id, Issuer: "CN=Factory Signing CA 3, O=Example", SHA1: strings.ToUpper(digest[:40]), SHA256: strings.ToUpper(digest),
		NotBefore: now, NotAfter: now.AddDate(20, 0, 0), Serial: "4D2C7A11", Version: 3, CommonName: id,
	}
	r := registration.Registration{Scope: BenchmarkScope, ID: dps.RegistrationID(id), Created: now, Updated: now}
	r.Operation = registration.Operation{
		ID: dps.OperationID("4.0123456789abcdef." + id), Status: registration.Assigning, LeaseUntil: now.Add(time.Minute),
		Deadline: now.Add(30 * time.Minute), Started: now, APIVersion: "2021-06-01",
		Entry: enrollment.Ref{Group: "lot-2026-47"}, EntryETag: "0123456789abcdef0123456789abcdef",
		Proof: attestation.Proof{Kind: attestation.KindX509, Leaf: leaf, Signer: leaf}, RequestDigest: digest,
		Hub: "hub-1.azure-devices.example",
		Want: hub.Want{
			DeviceID: id, Auth: hub.Auth{Type: hub.AuthThumbprint, Primary: dps.NewSecret(digest)},
			Twin: hub.Twin{Tags: json.RawMessage(`{"site":"A"}`), Desired: json.RawMessage(`{"interval":30}`)},
		},
		Decision: json.RawMessage(`{"v":1,"attempts":[{"at":"2026-11-23T01:02:03Z","entry":{"group":"lot-2026-47"},"chain":"ok",` +
			`"policy":"hashed","candidates":["hub-1.azure-devices.example","hub-2.azure-devices.example"],"choice":"hub-1.azure-devices.example"}]}`),
	}
	return r
}

// AdmitOf asks what a register of a device asks.
func AdmitOf(b *testing.B, s storage.Store, id string, anchors ...enrollment.Anchor) (registration.Snapshot, error) {
	b.Helper()
	return s.Registrations().Admit(b.Context(), registration.AdmitQuery{
		Scope: BenchmarkScope, ID: dps.RegistrationID(id), Anchors: anchors,
	})
}
