// What is said where a page is looked at.

/** A short conversation with every kind of line in it. */
export async function talk(service, domain = "lobby") {
  await service.send("/api/comments", {
    domain, text: "Good morning. Is anybody looking at the sky tonight?", username: "Grace", color: "047122169",
  });
  await service.send("/api/comments", {
    domain, text: "Why is space black, if there are stars in every direction?", username: "Ada", color: "169080045",
    botParams: { entity: "astronomer", aiUsername: "Astronomer", aiColor: "080105175" },
  });
  const { message, lease } = await service.send("/api/queue/claim-next", { workerId: "w1", entities: ["astronomer"] });
  await service.send("/api/queue/complete", {
    messageId: message.id, leaseToken: lease.token,
    reply: { text: "Because the universe is **young**, and it *grows*:\n\n- light from beyond a certain distance has not reached us yet,\n- what has travelled longest arrives stretched beyond red, where eyes see nothing.\n\nAsk for [Olbers' paradox](https://en.wikipedia.org/wiki/Olbers's_paradox)." },
  });
  await service.send("/api/comments", {
    domain, text: "Write a haiku about that.", username: "Grace", color: "047122169", botParams: { entity: "poet" },
  });
  await service.send("/api/queue/claim-next", { workerId: "w1", entities: ["poet"] });
  const { message: unlucky } = await service.send("/api/comments", {
    domain, text: "And draw it?", username: "Linus", color: "120150060", botParams: { entity: "painter" },
  });
  await service.send("/api/queue/cancel", { messageId: unlucky.id });
  await service.send("/api/comments", {
    domain, text: "Can we hear it, too?", username: "Ada", color: "169080045", botParams: { entity: "singer" },
  });
}
