package storagetest

import (
	"bytes"
	"fmt"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

func revocationCases() []testCase {
	return []testCase{
		{"the deny list is kept in order and is part of the configuration", denialsKept},
		{"an entry of the deny list is taken off", denialDeleted},
		{"the deny list has room for so many", denialQuota},
		{"the deny list holds text that every back end takes", denialText},
		{"the deny list goes with its scope", denialsGoWithScope},
		{"revocation settings are part of a CA certificate", revocationRoundTrip},
		{"an uploaded list is stored with what describes it", crlRoundTrip},
		{"an uploaded list obeys If-Match", crlPreconditions},
		{"an uploaded list goes with its CA certificate", crlGoesWithAuthority},
		{"an uploaded list of megabytes", crlLarge},
		{"revocation settings of a scope", scopeRevocation},
		{"a group that takes expired certificates", groupAcceptsExpired},
		{"names that nothing can have", oddNames},
	}
}

func (w *world) denials(id dps.IDScope) []scope.Denial {
	w.Helper()
	return must(w, func() ([]scope.Denial, error) { return w.scopes().Denials(w.ctx, id) })
}

func (w *world) putAuthority(a scope.Authority) scope.Authority {
	w.Helper()
	if a.Certificate.DER == nil {
		a.Certificate, a.Updated = *certificate(w, a.Name), w.now
	}
	return must(w, func() (scope.Authority, error) {
		return w.scopes().PutAuthority(w.ctx, zone, a, enrollment.Precondition{})
	})
}

func (w *world) uploaded(entries int) scope.UploadedCRL {
	return scope.UploadedCRL{SHA256: "AB12", Size: 7, Entries: entries, ThisUpdate: w.now, NextUpdate: w.after(60)}
}

func (w *world) putCRL(name string, u scope.UploadedCRL, der []byte) scope.Authority {
	w.Helper()
	return must(w, func() (scope.Authority, error) {
		return w.scopes().PutCRL(w.ctx, zone, name, u, der, enrollment.Precondition{})
	})
}

// rootCA is the CA certificate Root as it is stored.
func (w *world) rootCA() scope.Authority {
	w.Helper()
	for _, a := range must(w, func() ([]scope.Authority, error) { return w.scopes().Authorities(w.ctx, zone) }) {
		if a.Name == "Root" {
			return a
		}
	}
	w.Fatal("there is no CA certificate Root")
	return scope.Authority{}
}

func denialsKept(w *world) {
	entries := []scope.Denial{
		{Kind: scope.DenyIssuer, Value: "CN=Line 4 CA, O=\"näh\"", Created: w.now},
		{Kind: scope.DenySerial, Value: "0A", Created: w.now},
		{Kind: scope.DenySerial, Value: "0A", Issuer: "CN=A", Note: "stolen", Created: w.now},
		{Kind: scope.DenySerial, Value: "0A", Issuer: "CN=B", Created: w.now},
		{Kind: scope.DenyThumbprint, Value: "FF", Created: w.now},
	}
	before := w.version()
	w.ok(w.scopes().PutDenials(w.ctx, zone, []scope.Denial{entries[4], entries[2], entries[0]}))
	if w.version() <= before {
		w.Error("adding did not bump the version")
	}
	w.ok(w.scopes().PutDenials(w.ctx, "0NE000test", entries[1:4]))
	w.same(entries, w.denials(zone))
	w.same(entries, must(w, func() (scope.Snapshot, error) { return w.scopes().Snapshot(w.ctx, zone) }).Denials)

	again := entries[2]
	again.Note, again.Created = "found again", w.after(60)
	w.ok(w.scopes().PutDenials(w.ctx, zone, []scope.Denial{again}))
	entries[2].Note = again.Note // and denied since the first time
	w.same(entries, w.denials(zone))
	w.code(w.scopes().PutDenials(w.ctx, "0neNONE", entries), dps.NotFound)
	w.same(0, len(w.denials("0neNONE")))
}

func denialDeleted(w *world) {
	anywhere := scope.Denial{Kind: scope.DenySerial, Value: "0A", Created: w.now}
	narrow := anywhere
	narrow.Issuer = "CN=A"
	w.ok(w.scopes().PutDenials(w.ctx, zone, []scope.Denial{anywhere, narrow}))
	before := w.version()
	w.ok(w.scopes().DeleteDenial(w.ctx, zone, scope.Denial{Kind: scope.DenySerial, Value: "0A"}))
	if w.version() <= before {
		w.Error("taking off did not bump the version")
	}
	w.same([]scope.Denial{narrow}, w.denials(zone))
	before = w.version()
	w.code(w.scopes().DeleteDenial(w.ctx, zone, anywhere), dps.NotFound)
	w.same(before, w.version())
	w.code(w.scopes().DeleteDenial(w.ctx, "0neNONE", narrow), dps.NotFound)
}

func denialQuota(w *world) {
	list := make([]scope.Denial, scope.MaxDenials)
	for i := range list {
		list[i] = scope.Denial{Kind: scope.DenyThumbprint, Value: fmt.Sprintf("%064X", i), Created: w.now}
	}
	w.ok(w.scopes().PutDenials(w.ctx, zone, list))
	before := w.version()
	more := scope.Denial{Kind: scope.DenySerial, Value: "01", Created: w.now}
	w.code(w.scopes().PutDenials(w.ctx, zone, []scope.Denial{more}), dps.QuotaReached)
	w.same(before, w.version())
	w.same(scope.MaxDenials, len(w.denials(zone)))
	w.ok(w.scopes().PutDenials(w.ctx, zone, list[:1])) // it stands there already
	w.ok(w.scopes().DeleteDenial(w.ctx, zone, list[7]))
	w.ok(w.scopes().PutDenials(w.ctx, zone, []scope.Denial{more}))
}

func denialText(w *world) {
	for _, odd := range []scope.Denial{
		{Kind: scope.DenyIssuer, Value: "CN=\x00"}, {Kind: scope.DenySerial, Value: "01", Issuer: "CN=\xff"}, {Kind: scope.DenySerial, Value: "01", Note: "\x00"},
	} {
		w.code(w.scopes().PutDenials(w.ctx, zone, []scope.Denial{odd}), dps.InvalidArgument)
	}
	w.same(0, len(w.denials(zone)))
}

func denialsGoWithScope(w *world) {
	w.makeScope("0neOTHER")
	entry := []scope.Denial{{Kind: scope.DenySerial, Value: "01", Created: w.now}}
	for _, id := range []dps.IDScope{zone, "0neOTHER"} {
		w.ok(w.scopes().PutDenials(w.ctx, id, entry))
	}
	w.ok(w.scopes().Delete(w.ctx, zone, enrollment.Precondition{}))
	w.makeScope(zone)
	w.same(0, len(w.denials(zone)))
	w.same(entry, w.denials("0neOTHER"))
}

func revocationRoundTrip(w *world) {
	settings := scope.Revocation{CRLURL: "http://ca.example/list.crl", OCSPURL: "http://ocsp.example", AcceptUnknown: true}
	put := w.putAuthority(scope.Authority{Name: "Root", Revocation: settings})
	w.same(settings, put.Revocation)
	w.same(put, w.rootCA())
	put.Revocation = scope.Revocation{}
	w.putAuthority(put)
	w.same(scope.Revocation{}, w.rootCA().Revocation)
}

func crlRoundTrip(w *world) {
	_, err := w.scopes().CRL(w.ctx, zone, "root")
	w.code(err, dps.NotFound)
	settings := scope.Revocation{OCSPURL: "http://ocsp.example"}
	old := w.putAuthority(scope.Authority{Name: "Root", Verified: true, Revocation: settings})
	w.putAuthority(scope.Authority{Name: "other"})
	before := w.version()
	u := w.uploaded(1)
	got := w.putCRL("rOOT", u, []byte{0x30, 0, 0xFF})
	if w.version() <= before {
		w.Error("an upload did not bump the version")
	}
	checkETag(w, got.ETag)
	want := old
	want.ETag, want.Revocation.Uploaded = got.ETag, &u
	w.same(want, got)
	w.same(want, w.rootCA())
	w.same(want, must(w, func() (scope.Snapshot, error) { return w.scopes().Snapshot(w.ctx, zone) }).Authorities[1])
	if got.ETag == old.ETag {
		w.Error("the etag did not change")
	}
	w.same([]byte{0x30, 0, 0xFF}, must(w, func() ([]byte, error) { return w.scopes().CRL(w.ctx, zone, "ROOT") }))

	open := w.uploaded(2)
	open.NextUpdate = time.Time{} // the list does not say when the next one comes
	w.putCRL("Root", open, []byte{1})
	w.same(&open, w.rootCA().Revocation.Uploaded)
	w.same([]byte{1}, must(w, func() ([]byte, error) { return w.scopes().CRL(w.ctx, zone, "Root") }))

	before = w.version()
	gone := must(w, func() (scope.Authority, error) {
		return w.scopes().DeleteCRL(w.ctx, zone, "ROOT", enrollment.Precondition{})
	})
	w.same(settings, gone.Revocation)
	w.same(gone, w.rootCA())
	if w.version() <= before {
		w.Error("a deletion did not bump the version")
	}
	_, err = w.scopes().CRL(w.ctx, zone, "Root")
	w.code(err, dps.NotFound)
	_, err = w.scopes().DeleteCRL(w.ctx, zone, "Root", enrollment.Precondition{})
	w.code(err, dps.NotFound)
}

func crlPreconditions(w *world) {
	old := w.putAuthority(scope.Authority{Name: "Root"})
	put := func(id dps.IDScope, name, ifMatch string) error {
		_, err := w.scopes().PutCRL(w.ctx, id, name, w.uploaded(1), []byte{1}, enrollment.Precondition{IfMatch: ifMatch})
		return err
	}
	before := w.version()
	w.code(put(zone, "none", ""), dps.NotFound)
	w.code(put("0neNONE", "Root", ""), dps.NotFound)
	w.code(put(zone, "Root", "stale"), dps.PreconditionFailed)
	w.same(before, w.version())
	w.ok(put(zone, "Root", old.ETag.Quoted()))
	w.code(put(zone, "Root", old.ETag.Quoted()), dps.PreconditionFailed)
	_, err := w.scopes().DeleteCRL(w.ctx, zone, "Root", enrollment.Precondition{IfMatch: old.ETag.Quoted()})
	w.code(err, dps.PreconditionFailed)
	_, err = w.scopes().DeleteCRL(w.ctx, zone, "none", enrollment.Precondition{})
	w.code(err, dps.NotFound)
	w.same([]byte{1}, must(w, func() ([]byte, error) { return w.scopes().CRL(w.ctx, zone, "Root") }))
}

func crlGoesWithAuthority(w *world) {
	w.putAuthority(scope.Authority{Name: "Root"})
	w.putCRL("Root", w.uploaded(1), []byte{1})
	kept := w.putAuthority(w.rootCA()) // as a change of another member does
	w.same([]byte{1}, must(w, func() ([]byte, error) { return w.scopes().CRL(w.ctx, zone, "Root") }))
	kept.Revocation.Uploaded = nil
	w.putAuthority(kept)
	_, err := w.scopes().CRL(w.ctx, zone, "Root")
	w.code(err, dps.NotFound)

	w.putCRL("Root", w.uploaded(1), []byte{2})
	must(w, func() ([]string, error) {
		return w.scopes().DeleteAuthority(w.ctx, zone, "ROOT", enrollment.Precondition{})
	})
	_, err = w.scopes().CRL(w.ctx, zone, "Root")
	w.code(err, dps.NotFound)
}

func crlLarge(w *world) {
	w.putAuthority(scope.Authority{Name: "Root"})
	der := bytes.Repeat([]byte{0x30, 0x82, 0, 0xFF, 0x27}, 1<<20)
	w.putCRL("Root", w.uploaded(100_000), der)
	got := must(w, func() ([]byte, error) { return w.scopes().CRL(w.ctx, zone, "Root") })
	if !bytes.Equal(der, got) {
		w.Errorf("%d bytes came back of %d, or others", len(got), len(der))
	}
}

func scopeRevocation(w *world) {
	before := w.version()
	sc := must(w, func() (scope.Scope, error) { return w.scopes().Get(w.ctx, zone) })
	sc.WhenRevoked = scope.DisableIdentity
	sc.CertificateRules = scope.CertificateRules{
		MaxChainLength: 4, MinRSABits: 3072, Algorithms: []scope.KeyAlgorithm{scope.ECDSA, scope.RSA}, RequireClientAuth: true,
	}
	sc = must(w, func() (scope.Scope, error) { return w.scopes().Update(w.ctx, sc, enrollment.Precondition{}) })
	got := must(w, func() (scope.Snapshot, error) { return w.scopes().Snapshot(w.ctx, zone) })
	w.same(sc, got.Scope)
	if got.Version <= before {
		w.Error("the version was not bumped")
	}
	sc.WhenRevoked, sc.CertificateRules = "", scope.CertificateRules{}
	sc = must(w, func() (scope.Scope, error) { return w.scopes().Update(w.ctx, sc, enrollment.Precondition{}) })
	w.same(sc, must(w, func() (scope.Scope, error) { return w.scopes().Get(w.ctx, zone) }))
}

func groupAcceptsExpired(w *world) {
	g := enrollment.Group{ID: "Lot", Mechanism: attestation.X509CA{PrimaryRef: "Root"}, AcceptExpired: true, Settings: settings(w)}
	put := w.putGroup(g)
	w.same(true, put.AcceptExpired)
	w.same(put, w.group("lot"))
	put.AcceptExpired = false
	w.putGroup(put)
	w.same(false, w.group("lot").AcceptExpired)
}

// oddNames: text that no record can hold is no fault of the store.
func oddNames(w *world) {
	w.putAuthority(scope.Authority{Name: "Root"})
	for _, odd := range []string{"a\x00", "\xff"} {
		_, get := w.scopes().Get(w.ctx, dps.IDScope(odd))
		_, read := w.scopes().CRL(w.ctx, zone, odd)
		_, put := w.scopes().PutCRL(w.ctx, zone, odd, w.uploaded(1), []byte{1}, enrollment.Precondition{})
		_, del := w.scopes().DeleteCRL(w.ctx, zone, odd, enrollment.Precondition{})
		_, ca := w.scopes().DeleteAuthority(w.ctx, zone, odd, enrollment.Precondition{})
		for name, err := range map[string]error{
			"scope": get, "CRL": read, "PutCRL": put, "DeleteCRL": del, "DeleteAuthority": ca,
			"DeleteDenial": w.scopes().DeleteDenial(w.ctx, zone, scope.Denial{Kind: scope.DenyIssuer, Value: odd}),
			"DeletePolicy": w.scopes().DeletePolicy(w.ctx, zone, odd, enrollment.Precondition{}),
		} {
			if err == nil || dps.CodeOf(err) == dps.Internal || dps.CodeOf(err) == dps.Unavailable {
				w.Errorf("%s of %q: %v", name, odd, err)
			}
		}
	}
}
