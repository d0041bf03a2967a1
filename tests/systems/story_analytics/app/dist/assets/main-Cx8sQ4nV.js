import{f,h,q}from"./chart-Bm2rT7yZ.js";
const R=document.getElementById("root"),go=p=>{history.pushState(null,"",p);draw()},link=(p,t)=>h("a",{href:p,onclick:e=>{e.preventDefault();go(p)}},t);
const page=(...c)=>R.replaceChildren(h("header",{},h("img",{src:"/favicon.svg",alt:""}),h("b",{},link("/","Chart Room")),link("/library","Library"),link("/sources","Sources")),...c);
const note=()=>h("p",{class:"note",id:"note"});
async function sources(){const l=await q("/data/sources"),i=h("input",{id:"file",type:"file",accept:".csv"}),n=note();
page(h("h1",{},"Sources"),h("div",{class:"cols"},h("section",{class:"card"},h("label",{},"A CSV file",i),h("button",{id:"upload",onclick:async()=>{const d=new FormData;d.append("file",i.files[0]);try{const s=await q("/data/upload",{method:"POST",body:d});go("/editor/new/source?"+s.source_id)}catch(e){n.textContent=e.message}}},"Upload"),n),h("section",{class:"card"},h("ul",{id:"sources"},l.map(s=>h("li",{},link("/editor/new/source?"+s.id,`${s.name} (${s.bytes} bytes)`))),l.length?"":h("li",{},"Nothing uploaded yet.")))))}
async function editor(){const p=await q("/data/preview/"+location.search.slice(1)),t=h("input",{id:"title",value:p.columns[1]+" by "+p.columns[0]}),o=h("section",{class:"card",id:"preview"}),c=()=>({title:t.value,source:"Source: own upload",chart_type:"BarChart",points:p.rows.map(r=>[r[0],+r[1]])}),s=()=>o.replaceChildren(f(c()));t.addEventListener("input",s);s();
page(h("h1",{},"New chart"),h("div",{class:"cols"},h("section",{class:"card"},h("label",{},"Title",t),h("button",{id:"save",onclick:async()=>go("/chart/"+(await q("/v2/charts/save",{method:"POST",headers:{"Content-Type":"application/json"},body:JSON.stringify(c())})).id)},"Save and publish")),o))}
async function chart(i){const c=await q("/v2/charts/"+i);page(h("section",{class:"card",id:"chart"},f(c),h("code",{id:"snippet"},`<iframe src="${location.origin}/embed/chart/${i}"></iframe>`)))}
async function library(){const l=await q("/v2/charts/");page(h("h1",{},"Library"),h("section",{class:"card"},h("ul",{id:"charts"},l.map(c=>h("li",{},link("/chart/"+c.id,c.title))),l.length?"":h("li",{},"No chart yet."))))}
const draw=()=>{const p=location.pathname.split("/");return({sources,library,editor,chart:()=>chart(p[2])})[p[1]]?.()??library()};
addEventListener("popstate",draw);draw();
