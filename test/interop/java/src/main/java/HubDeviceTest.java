import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.IotHubStatusCode;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.exceptions.IotHubClientException;
import com.microsoft.azure.sdk.iot.device.twin.Twin;
import com.microsoft.azure.sdk.iot.provisioning.device.ProvisioningDeviceClient;
import com.microsoft.azure.sdk.iot.provisioning.device.ProvisioningDeviceClientRegistrationResult;
import com.microsoft.azure.sdk.iot.provisioning.device.ProvisioningDeviceClientTransportProtocol;
import com.microsoft.azure.sdk.iot.provisioning.security.SecurityProvider;
import com.microsoft.azure.sdk.iot.provisioning.security.SecurityProviderSymmetricKey;
import com.microsoft.azure.sdk.iot.provisioning.security.hsm.SecurityProviderX509Cert;
import com.microsoft.azure.sdk.iot.provisioning.service.ProvisioningServiceClient;
import com.microsoft.azure.sdk.iot.provisioning.service.configs.*;
import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * What comes after provisioning, with the public Java device client, unmodified: it connects to the
 * assigned hub over MQTT, on 8883 and over WebSocket on 443, with the credential that it was
 * provisioned with, reads its twin, is told of a desired property, reports one and sends a message,
 * which the hub's API shows. Each row is printed.
 *
 * <p>DPS_READY: the ready file of dps dev; DPS_CERTS: a folder of device certificates made by the
 * runner. The JVM's trust store holds the development CA.
 */
public final class HubDeviceTest {
  private static final String UNIQUE = Long.toHexString(System.currentTimeMillis());
  private static final int PATIENCE = 30_000; // milliseconds
  private static final int ANSWER = 3_000; // milliseconds until an answer of the hub counts as lost

  private final JsonObject ready = JsonParser.parseString(Files.readString(Path.of(System.getenv("DPS_READY")))).getAsJsonObject();
  private final ProvisioningServiceClient service = new ProvisioningServiceClient(ready.get("serviceConnectionString").getAsString());
  private final String transport;
  private final String name;

  private HubDeviceTest(String transport) throws Exception {
    this.transport = transport;
    this.name = "hub-java-" + transport.toLowerCase(Locale.ROOT);
  }

  public static void main(String[] none) throws Exception {
    for (String transport : List.of("MQTT", "MQTT-WS")) {
      HubDeviceTest t = new HubDeviceTest(transport);
      t.row("symmetric key, individual", t::keyIndividual);
      t.row("symmetric key, group", t::keyGroup);
      t.row("X.509, individual", t::certificateIndividual);
      t.row("X.509, group", t::certificateGroup);
      t.row("another key", t::anotherKey);
    }
    System.exit(0); // the client leaves threads behind
  }

  private interface Row {
    void run() throws Exception;
  }

  private void row(String attestation, Row row) {
    long began = System.nanoTime();
    try {
      row.run();
    } catch (Throwable e) {
      System.out.println("FAILED " + transport + ", " + attestation);
      e.printStackTrace(System.out);
      System.exit(1);
    }
    long took = (System.nanoTime() - began) / 1_000_000;
    System.out.println("interop | Java hub device | " + transport + " | " + attestation + " | ok, " + took + " ms");
  }

  private void keyIndividual() throws Exception {
    String id = "ind-sym-" + name + "-" + UNIQUE;
    use(withKey(enrolled(id, new SymmetricKeyAttestation("", "")), id));
  }

  private void keyGroup() throws Exception {
    String id = "member-" + name + "-" + UNIQUE;
    EnrollmentGroup group = new EnrollmentGroup("grp-sym-" + name + "-" + UNIQUE, new SymmetricKeyAttestation("", ""));
    group.setInitialTwin(twin());
    String key = ((SymmetricKeyAttestation) service.createOrUpdateEnrollmentGroup(group).getAttestation()).getPrimaryKey();
    byte[] derived = SecurityProviderSymmetricKey.ComputeDerivedSymmetricKey(key.getBytes(StandardCharsets.UTF_8), id);
    use(new SecurityProviderSymmetricKey(derived, id));
    service.deleteEnrollmentGroup(group.getEnrollmentGroupId());
  }

  private void certificateIndividual() throws Exception {
    String id = "ind-" + name;
    enrolled(id, X509Attestation.createFromClientCertificates(file(id + ".pem")));
    use(withCertificate(id, id + ".pem"));
  }

  private void certificateGroup() throws Exception {
    EnrollmentGroup group = new EnrollmentGroup("x509-" + name, X509Attestation.createFromRootCertificates(file("root.pem")));
    group.setInitialTwin(twin());
    service.createOrUpdateEnrollmentGroup(group);
    use(withCertificate("grp-" + name, "grp-" + name + ".chain.pem"));
    service.deleteEnrollmentGroup(group.getEnrollmentGroupId());
  }

  private void anotherKey() throws Exception {
    String id = "off-" + name + "-" + UNIQUE;
    ProvisioningDeviceClientRegistrationResult r = register(withKey(enrolled(id, new SymmetricKeyAttestation("", "")), id));
    String key = Base64.getEncoder().encodeToString(new byte[32]);
    DeviceClient client =
        new DeviceClient("HostName=" + r.getIothubUri() + ";DeviceId=" + id + ";SharedAccessKey=" + key, protocol());
    try {
      client.open(false);
    } catch (IotHubClientException e) {
      return;
    } finally {
      client.close();
    }
    throw new AssertionError("the hub takes another key");
  }

  /** Makes an individual enrollment and returns the symmetric key in it. */
  private String enrolled(String id, Attestation by) throws Exception {
    IndividualEnrollment enrollment = new IndividualEnrollment(id, by);
    enrollment.setInitialTwin(twin());
    Attestation made = service.createOrUpdateIndividualEnrollment(enrollment).getAttestation();
    return made instanceof SymmetricKeyAttestation ? ((SymmetricKeyAttestation) made).getPrimaryKey() : "";
  }

  private static TwinState twin() {
    TwinCollection desired = new TwinCollection();
    desired.put("colour", "grün");
    return new TwinState(null, desired);
  }

  /** Does with the hub what a device and its operator do. */
  private void use(SecurityProvider security) throws Exception {
    ProvisioningDeviceClientRegistrationResult r = register(security);
    String id = r.getDeviceId();
    DeviceClient client = new DeviceClient(r.getIothubUri(), id, security, protocol());
    try {
      client.open(false);
      LinkedBlockingQueue<Twin> changes = new LinkedBlockingQueue<>();
      client.subscribeToDesiredProperties((twin, context) -> changes.add(twin), null);
      Twin twin = patiently(() -> client.getTwin(ANSWER));
      same("grün", twin.getDesiredProperties().get("colour"));
      call(r.getIothubUri(), "PATCH", "/twins/" + id, "{\"properties\":{\"desired\":{\"limit\":\"25\"}}}");
      same("25", changes.poll(10, TimeUnit.SECONDS).getDesiredProperties().get("limit"));
      patiently(() -> {
        com.microsoft.azure.sdk.iot.device.twin.TwinCollection reported = patiently(() -> client.getTwin(ANSWER)).getReportedProperties();
        reported.put("firmware", "1.2.3");
        return client.updateReportedProperties(reported, ANSWER);
      });
      JsonObject seen = call(r.getIothubUri(), "GET", "/twins/" + id, "").getAsJsonObject();
      same("Connected", seen.get("connectionState").getAsString());
      same("1.2.3", seen.getAsJsonObject("properties").getAsJsonObject("reported").get("firmware").getAsString());
      Message message = new Message("{\"temperature\":21.5}");
      message.setProperty("level", "high");
      client.sendEvent(message);
      JsonObject heard = call(r.getIothubUri(), "GET", "/telemetry/" + id, "").getAsJsonObject();
      JsonObject last = heard.getAsJsonArray("lastMessages").get(0).getAsJsonObject();
      same("{\"temperature\":21.5}", last.get("body").getAsString());
      same("high", last.getAsJsonObject("properties").get("level").getAsString());
    } finally {
      client.close();
    }
  }

  /**
   * Asks again what was answered and lost: the SDK acknowledges an answer and now and then tells
   * nobody. By its source one thread forgets the request that the answer belongs to while the other
   * still looks for it (IotHubTransport.onMessageReceived).
   */
  private static <T> T patiently(Callable<T> ask) throws Exception {
    for (int tries = 1; ; tries++) {
      try {
        return ask.call();
      } catch (IotHubClientException e) {
        if (e.getStatusCode() != IotHubStatusCode.DEVICE_OPERATION_TIMED_OUT || tries == 5) {
          throw e;
        }
      }
    }
  }

  private IotHubClientProtocol protocol() {
    return transport.equals("MQTT") ? IotHubClientProtocol.MQTT : IotHubClientProtocol.MQTT_WS;
  }

  private ProvisioningDeviceClientRegistrationResult register(SecurityProvider security) throws Exception {
    ProvisioningDeviceClient device =
        ProvisioningDeviceClient.create(
            ready.get("deviceHost").getAsString(), ready.get("idScope").getAsString(),
            ProvisioningDeviceClientTransportProtocol.HTTPS, security);
    try {
      return device.registerDeviceSync(PATIENCE);
    } finally {
      device.close();
    }
  }

  /** Asks the hub's own API with the access policy of its connection string. */
  private JsonElement call(String host, String method, String path, String body) throws Exception {
    String connection = "";
    for (JsonElement hub : ready.getAsJsonArray("hubs")) {
      if (hub.getAsJsonObject().get("hostName").getAsString().equals(host)) {
        connection = hub.getAsJsonObject().get("connectionString").getAsString();
      }
    }
    String key = connection.replaceFirst(".*;SharedAccessKey=", "");
    long expiry = System.currentTimeMillis() / 1000 + 600;
    Mac mac = Mac.getInstance("HmacSHA256");
    mac.init(new SecretKeySpec(Base64.getDecoder().decode(key), "HmacSHA256"));
    String signature = Base64.getEncoder().encodeToString(mac.doFinal((host + "\n" + expiry).getBytes(StandardCharsets.UTF_8)));
    HttpRequest request =
        HttpRequest.newBuilder(URI.create("https://" + host + path + "?api-version=2021-04-12"))
            .header("Authorization", "SharedAccessSignature sr=" + host + "&sig=" + URLEncoder.encode(signature, StandardCharsets.UTF_8)
                + "&se=" + expiry + "&skn=iothubowner")
            .method(method, HttpRequest.BodyPublishers.ofString(body))
            .build();
    HttpResponse<String> answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
    same(200, answer.statusCode());
    return JsonParser.parseString(answer.body());
  }

  private static SecurityProvider withKey(String key, String id) {
    return new SecurityProviderSymmetricKey(key.getBytes(StandardCharsets.UTF_8), id);
  }

  private static SecurityProvider withCertificate(String id, String chain) throws Exception {
    List<X509Certificate> all = new ArrayList<>();
    CertificateFactory.getInstance("X.509")
        .generateCertificates(new ByteArrayInputStream(file(chain).getBytes(StandardCharsets.UTF_8)))
        .forEach(c -> all.add((X509Certificate) c));
    String text = file(id + ".key").replaceAll("-----[A-Z ]+-----", "").replaceAll("\\s", "");
    return new SecurityProviderX509Cert(
        all.get(0), KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(text))),
        all.subList(1, all.size()));
  }

  private static void same(Object want, Object got) {
    if (!want.equals(got)) {
      throw new AssertionError("got " + got + ", want " + want);
    }
  }

  private static String file(String name) throws Exception {
    return Files.readString(Path.of(System.getenv("DPS_CERTS"), name));
  }
}
