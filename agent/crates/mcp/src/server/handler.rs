//! What the library asks of a server, answered from its backend.

use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult,
    CompletionInfo, ErrorData, GetPromptRequestParams, GetPromptResponse, Implementation,
    ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult,
    Reference, ServerCapabilities, ServerConfig, SubscribeRequestParams, SubscriptionFilter,
    UnsubscribeRequestParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{RoleServer, ServerHandler};
use serde_json::json;

use super::{Server, is_stateless, list, protocol_error, speaker};
use crate::backend::{Asked, Completion, Fault};

/// How long a list may be kept, in milliseconds: it is the same as long as the server runs.
const FRESH_MS: u64 = 300_000;

/// Makes a page of a list into the protocol's result.
macro_rules! listed {
    ($result:ident, $items:ident, $answer:expr, $request:expr, $context:expr) => {{
        let all = $answer.await.map_err(|fault| protocol_error(&fault))?;
        let cursor = $request.and_then(|request| request.cursor);
        let (items, next) = list::page(&all, cursor.as_deref())?;
        let mut result = $result {
            $items: items,
            ..$result::default()
        };
        result.next_cursor = next;
        Ok(match is_stateless(&$context) {
            true => result
                .with_ttl_ms(FRESH_MS)
                .with_cache_scope(CacheScope::Private),
            false => result,
        })
    }};
}

type Listing = Option<PaginatedRequestParams>;
type Context = RequestContext<RoleServer>;

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let options = &self.shared.options;
        let mut capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_prompts()
            .enable_completions()
            .build();
        if let Some(resources) = &mut capabilities.resources {
            resources.subscribe = self.backend().can_watch().then_some(true);
        }
        let mut about = Implementation::new(&options.name, &options.version);
        about.title = Some(options.title.clone());
        let config = ServerConfig::new(capabilities).with_server_info(about);
        match options.instructions.as_str() {
            "" => config,
            instructions => config.with_instructions(instructions),
        }
    }

    async fn list_tools(
        &self,
        request: Listing,
        context: Context,
    ) -> Result<ListToolsResult, ErrorData> {
        let speaker = speaker(&context);
        let tools = async {
            let tools = self.backend().tools(&speaker).await?;
            Ok::<_, Fault>(tools.iter().map(list::describe).collect::<Vec<_>>())
        };
        listed!(ListToolsResult, tools, tools, request, context)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        self.call(request, &context).await
    }

    async fn list_resources(
        &self,
        request: Listing,
        context: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        let speaker = speaker(&context);
        let all = self.backend().resources(&speaker);
        listed!(ListResourcesResult, resources, all, request, context)
    }

    async fn list_resource_templates(
        &self,
        request: Listing,
        context: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let speaker = speaker(&context);
        let all = self.backend().templates(&speaker);
        listed!(
            ListResourceTemplatesResult,
            resource_templates,
            all,
            request,
            context
        )
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let speaker = speaker(&context);
        let read = self.backend().read(&speaker, &request.uri);
        let read = tokio::select! {
            read = read => read,
            () = context.ct.cancelled() => Err(Fault::Unavailable("cancelled".to_owned())),
        };
        let contents = read.map_err(|fault| match fault {
            Fault::NotFound(text) => {
                ErrorData::resource_not_found(text, Some(json!({ "uri": request.uri })))
            }
            other => protocol_error(&other),
        })?;
        let result = ReadResourceResult::new(contents);
        Ok(match is_stateless(&context) {
            true => result.with_ttl_ms(0).with_cache_scope(CacheScope::Private),
            false => result,
        }
        .into())
    }

    async fn list_prompts(
        &self,
        request: Listing,
        context: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        let speaker = speaker(&context);
        let all = self.backend().prompts(&speaker);
        listed!(ListPromptsResult, prompts, all, request, context)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        let speaker = speaker(&context);
        let arguments = request.arguments.unwrap_or_default();
        let prompts = self.backend().prompts(&speaker).await;
        let prompts = prompts.map_err(|fault| protocol_error(&fault))?;
        let known = prompts.iter().find(|prompt| prompt.name == request.name);
        let required = known.and_then(|prompt| prompt.arguments.as_deref());
        for argument in required.unwrap_or_default() {
            if argument.required == Some(true) && !arguments.contains_key(&argument.name) {
                let text = format!("the prompt takes the argument `{}`", argument.name);
                return Err(ErrorData::invalid_params(text, None));
            }
        }
        let prompt = self.backend().prompt(&speaker, &request.name, arguments);
        let prompt = prompt.await.map_err(|fault| protocol_error(&fault))?;
        Ok(prompt.into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: Context,
    ) -> Result<CompleteResult, ErrorData> {
        let asked = match request.r#ref {
            Reference::Prompt(prompt) => Asked::Prompt(prompt.name),
            Reference::Resource(template) => Asked::Template(template.uri),
            _ => return Ok(CompleteResult::default()),
        };
        let known = request.context.and_then(|context| context.arguments);
        let completion = Completion {
            asked,
            name: request.argument.name,
            value: request.argument.value,
            known: known.unwrap_or_default().into_iter().collect(),
        };
        let speaker = speaker(&context);
        let values = self.backend().complete(&speaker, completion).await;
        let mut values = values.map_err(|fault| protocol_error(&fault))?;
        let total = values.len();
        values.truncate(CompletionInfo::MAX_VALUES);
        let more = total > values.len();
        let info = CompletionInfo::with_pagination(values, u32::try_from(total).ok(), more);
        let info = info.map_err(|error| ErrorData::internal_error(error, None))?;
        Ok(CompleteResult::new(info))
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        self.accepted(requested)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.tell(context).await
    }

    // The way of the era with sessions.
    #[allow(deprecated)]
    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: Context,
    ) -> Result<(), ErrorData> {
        let speaker = speaker(&context);
        self.watch(&speaker, request.uri, context.peer).await
    }

    #[allow(deprecated)]
    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _context: Context,
    ) -> Result<(), ErrorData> {
        self.watches.remove(&request.uri);
        Ok(())
    }
}
