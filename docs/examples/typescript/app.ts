// A consumer app: it binds a user to an agent, sends a message and waits for the reply.
//
// The types of every route come from the OpenAPI document: `npm run client` generates them.

import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Problem = components["schemas"]["Problem"];

/** How long one call waits for the end of a message. */
const WAIT_MS = 20_000;
/** The most calls that wait for one message: two minutes. */
const MAX_WAITS = 6;

const { AGENT_FACTORY_API_URL: baseUrl, AGENT_FACTORY_API_KEY: key } = process.env;
if (!baseUrl || !key) {
  throw new Error("set AGENT_FACTORY_API_URL, and AGENT_FACTORY_API_KEY to a key with the scope app");
}
const api = createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${key}` } });

/** The data of a response. An error of the API has a `code` for programs and a `detail` for people. */
function data<T>(result: { data?: T; error?: unknown }): T {
  if (result.data !== undefined) return result.data;
  const problem = result.error as Partial<Problem>;
  throw new Error(`${problem.code ?? "unknown"}: ${problem.detail ?? "the call failed"}`);
}

/** Sends a text to the agent of a user, and returns the reply. `id` makes a repeated call have no second effect. */
async function ask(consumerUserId: string, agentKey: string, id: string, content: string): Promise<string> {
  const { messageId } = data(
    await api.POST("/v1/users/{consumerUserId}/agents/{agentKey}/messages", {
      params: { path: { consumerUserId, agentKey }, header: { "Idempotency-Key": id } },
      body: { content },
    }),
  );
  for (let waits = 0; waits < MAX_WAITS; waits++) {
    const message = data(
      await api.GET("/v1/users/{consumerUserId}/messages/{messageId}", {
        params: { path: { consumerUserId, messageId }, query: { waitMs: WAIT_MS } },
      }),
    );
    switch (message.status) {
      case "done":
        return message.reply ?? "";
      case "queued":
      case "processing":
        continue;
      case "dead_letter":
      case "cancelled":
        throw new Error(`message ${messageId} ended as ${message.status}: ${message.lastError ?? ""}`);
    }
  }
  throw new Error(`message ${messageId} still waits`);
}

const [user, agent] = ["ann-ts", "support"];
data(
  await api.PUT("/v1/users/{consumerUserId}/binding", {
    params: { path: { consumerUserId: user } },
    body: { agentKey: agent },
  }),
);
console.log(await ask(user, agent, "typescript-1", "Where is my order?"));

const { agents, activeAgentKey } = data(
  await api.GET("/v1/users/{consumerUserId}/overview", { params: { path: { consumerUserId: user } } }),
);
console.log(`active: ${activeAgentKey}, of ${agents.length}`);

const unknown = await api.GET("/v1/users/{consumerUserId}/messages/{messageId}", {
  params: { path: { consumerUserId: user, messageId: "unknown" } },
});
console.log(`error: ${(unknown.error as Problem).code}`);
