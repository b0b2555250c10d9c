package attestation

import "strings"

// Advise says what an operator can do about a reason for which a device was refused; empty:
// nothing is known to help. A reason is a text for people, in which certificates are named,
// so it is known by a part of it.
func Advise(reason string) string {
	for _, a := range advices() {
		if strings.Contains(reason, a.part) {
			return a.advice
		}
	}
	return ""
}

type advice struct{ part, advice string }

// advices are looked through in order: what is said more exactly stands first.
func advices() []advice {
	return append(append(certificateAdvices(), chainAdvices()...), otherAdvices()...)
}

func certificateAdvices() []advice {
	const reissue = "Have the CA issue the certificate anew, without that fault."
	return []advice{
		{"is on the deny list", "It was denied on purpose. To let it in again: dps deny list, then dps deny remove."},
		{"was revoked by its issuer", "Its CA took it back. Have the CA issue another certificate to the device."},
		{"revocation status unknown", "The CA can't be asked what it revoked, and its settings say to refuse then: see dps ca show for what failed."},
		{"is not the enrolled one", "The enrollment pins another certificate. If this one is the device's: dps enrollment roll ID --secondary-certificate FILE."},
		{"registration ID is neither", "Have the device register with the common name of its certificate, or give it a certificate with its ID."},
		{"is over: it expired at", "Have that CA certified anew, with the same key, and upload it or have devices present it: dps ca add. Devices below it can't get in until then."},
		{"expired at", "Renew the certificate. If it should still be good, look at the clock of the server. A group can accept expired device certificates: dps group update GROUP --accept-expired."},
		{"is not valid before", "Look at the clocks of the server and of the machine that issues certificates; else wait."},
		{"is self-signed", "Pin it (dps enrollment create ID --certificate FILE), or give the device a certificate of a CA that a group is bound to."},
		{"does not allow digital signatures", "TLS client authentication needs the key usage digitalSignature. " + reissue},
		{"which the scope requires", "The scope asks for the extended key usage clientAuth. " + reissue + " Or change the rule: dps scope update."},
		{"; the scope takes", "The scope has a rule that is stricter than dps's own: see dps scope show, and dps scope update to change it."},
		{"which the scope does not take", "The scope has a rule that is stricter than dps's own: see dps scope show, and dps scope update to change it."},
		{"RSA key of", "Give the device a key of at least RSA 2048 or P-256, and a certificate for it."},
		{"P-224 key", "Give the device a key of at least P-256, and a certificate for it."},
		{"unknown critical extension", "The certificate holds a rule that dps does not know and must not pass over. " + reissue},
		{"is signed with", "The signature is of an algorithm that can be forged. " + reissue},
	}
}

func chainAdvices() []advice {
	const verify = "Upload it (dps ca add NAME FILE) and prove that it is yours (dps ca verify NAME). If it is not, the device is a stranger or has the wrong ID scope."
	return []advice{
		{"is unknown: it was neither presented nor uploaded", "Have the device present its whole chain, its own certificate first, or upload what is missing: dps ca add NAME FILE."},
		{"which is none of this ID scope's", verify},
		{"which is not verified", "Prove that it is yours: dps ca verify NAME. Until then its signature counts for nothing."},
		{"was not signed by CA certificate", "Another CA of the same name issued it: compare thumbprints with dps ca list. If both are yours, upload the other one too. If not, somebody imitates your CA."},
		{"is not marked as a CA certificate", "Only CA certificates may issue others. Issue this one anew with basic constraints CA:TRUE; if it is a device's, somebody abuses its key."},
		{"lacks keyCertSign", "Issue the CA certificate anew with the key usage keyCertSign."},
		{"(path length)", "Issue the upper CA certificate anew with a greater path length, or the device's directly below it."},
		{"breaks the name constraints", "Give the device a name that its CA may issue, or issue the CA certificate anew with other name constraints."},
		{"name constraints on directory names", "Such constraints can't be judged here. Issue the CA certificate anew, with constraints on DNS names or none."},
		{"has name constraints", "Such constraints can't be judged here. Issue the CA certificate anew, with constraints on DNS names or none."},
		{"goes in circles", "The CA certificates signed each other, and none is yours. Present the chain up to one that you uploaded."},
		{"no enrollment group is bound", "Bind a group to a CA certificate of the chain: dps group create GROUP --ca-reference NAME."},
		{"does not pass through the enrollment's signing certificate", "The enrollment asks for another CA: dps enrollment roll ID --ca-reference NAME, or --certificate FILE."},
		{"certificates; at most", "Have the device present its certificate and the intermediates only."},
	}
}

func otherAdvices() []advice {
	return []advice{
		{"the individual enrollment attests by", "The individual enrollment decides alone, even if a group would take the device: give it the device's credential, or delete it."},
		{"another TPM, or of none", "If the board was replaced: dps enrollment roll ID --endorsement-key BASE64."},
		{"no certificate of its endorsement key", "Have the device send its endorsement certificates, or enroll the TPM by its key: dps enrollment create ID --endorsement-key BASE64."},
		{"a TPM that comes in by its group must register as", "Have the device register with that ID, or enroll it by its endorsement key."},
		{"of another key than the endorsement key", "Have the device send the certificate of the endorsement key that it registers with."},
		{"no endorsement certificate", "Have the device send its endorsement certificate first, then those above it."},
		{"for other uses than endorsement keys", "Have the device send the certificate that the TPM's manufacturer made for its endorsement key."},
		{"no key that this TPM was given", "The device signed with another key than that of its challenge, or an hour too late: have it register anew, and look at its clock."},
		{"the TPM has not proved itself before", "Have the device register with the keys of its TPM first; a token alone is good for polls."},
		{"TPM attestation has no keyring", "Give the server a keyring: dps keys init."},
		{"signed with neither key", "The device has another key: compare with dps enrollment show ID --keys. Keys are base64, and are decoded before they sign."},
		{"no key derived from the group's", "Compare the device's key with dps group device-key GROUP ID; the letter case of the ID counts, and the group's own key is good for no device."},
		{"token is for another resource", "Have the device sign for {idScope}/registrations/{registrationId}, its own."},
		{"token expired", "Look at the clock of the device; se is seconds since 1970."},
		{"token has a field twice", "Have the device send sr, sig and se once each."},
		{"token lacks", "Have the device send SharedAccessSignature sr=…&sig=…&se=…."},
		{"percent-encoded", "Have the device percent-encode the fields of its token."},
		{"sig is not base64", "Have the device send its signature in base64, percent-encoded."},
		{"token is too long", "Have the device send SharedAccessSignature sr=…&sig=…&se=…, and nothing else."},
		{"is not a SharedAccessSignature", "Have the device send SharedAccessSignature sr=…&sig=…&se=…."},
		{"the link is of another device", "Have the device attach links to {idScope}/registrations/{registrationId} of the ID that it signed in with, one ID to a connection."},
		{"no token", "Have the device sign a token with the key of its challenge, and send it with its keys."},
		{"SASL password is empty", "Have the device send its SAS token as the password of SASL PLAIN."},
		{"SASL TPM has no token", "Have the device send the token that it signed with the key of its challenge."},
		{"TPM devices register over", "Have the device register over HTTPS or AMQP; the protocol has no TPMs over MQTT."},
		{"no credential", "Give the device a certificate or a key; a proxy before dps must not end its TLS."},
		{"unknown ID scope", "Give the device the ID scope of dps scope list."},
		{"no individual enrollment has this ID", "Enroll it: dps enrollment create ID, or a group; with the certificate that the device shows, dps attestation check says more."},
		{"no enrollment", "Enroll the device: dps enrollment create ID, or a group."},
		{"IP filter rule", "The address is shut out by a rule: dps ip-filter explain."},
		{"demands TLS", "Have the device speak that version, or change the scope's least: dps scope update."},
	}
}
